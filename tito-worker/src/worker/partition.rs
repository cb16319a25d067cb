//! The loop of one partition: read, hand out, record.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, OptionFuture};
use serde::Deserialize;
use tito_core::engine::{KeyValue, Wakeup};
use tito_core::event::TitoEvent;
use tito_core::keys::{self, KeyRange};
use tito_core::{Result, Timestamp, TitoEngine, TitoError, TitoTransaction};
use tokio::sync::watch;

use super::held::Held;
use super::lanes::{Finished, Lanes};
use super::reader::{PageRead, Reader};
use super::record::{Disposition, Recorded, Unrecorded, record_all};
use super::report::WorkerReport;
use super::runner::{Delivery, Runner, Verdict};
use super::{FIRST_ERROR_PAUSE, LONGEST_ERROR_PAUSE};

/// How many outcomes are recorded in one transaction.
const MOST_RECORDED: usize = 1_024;

/// How often, by the engine's clock, a checkpoint is written beside an acknowledgement.
const CHECKPOINT_EVERY: u64 = 10_000;

/// How often a worker that waits looks whether the clock was set back, after which it would wait too long.
const CLOCK_CHECK: Duration = Duration::from_secs(1);

/// How long the recording of what is done may take once the shutdown timeout has passed.
const LAST_RECORDING: Duration = Duration::from_secs(5);

/// What the partitions of a worker listen to.
#[derive(Clone)]
pub(super) struct Signals {
    pub(super) stopped: watch::Receiver<bool>,
    pub(super) active: watch::Receiver<bool>,
}

struct Page {
    entries: Vec<KeyValue>,
    /// When it was read.
    now: Timestamp,
    /// What the clock showed before.
    asked_millis: u64,
}

type Reading = BoxFuture<'static, Result<Page>>;
type Recording = BoxFuture<'static, Result<Vec<Recorded>>>;

pub(super) struct Partition<E: TitoEngine> {
    engine: E,
    runner: Arc<Runner<E>>,
    partition: u16,
    wakeup: Wakeup,
    reader: Option<Reader>,
    lanes: Lanes<E>,
    held: Held,
    /// The first key of an event that was recorded to be handled again. It may be stored under the same key, which the
    /// cursor may have passed while the event was held, so it is read again.
    put_again: Option<Vec<u8>>,
    unrecorded: Vec<Unrecorded>,
    reading: Option<Reading>,
    recording: Option<Recording>,
    /// What `recording` records.
    batch: Arc<Vec<Unrecorded>>,
    next_checkpoint: u64,
    read_pause: Duration,
    record_pause: Duration,
    report: WorkerReport,
}

impl<E: TitoEngine> Partition<E> {
    pub(super) fn new(engine: E, runner: Arc<Runner<E>>, partition: u16) -> Self {
        Self {
            // Registered before the first read, so that no commit falls between the two.
            wakeup: engine.context().wakeups.register(&runner.event_type, partition),
            lanes: Lanes::new(runner.clone()),
            next_checkpoint: engine.clock().now_millis() + CHECKPOINT_EVERY,
            engine,
            runner,
            partition,
            reader: None,
            held: Held::default(),
            put_again: None,
            unrecorded: Vec::new(),
            reading: None,
            recording: None,
            batch: Arc::default(),
            read_pause: Duration::ZERO,
            record_pause: Duration::ZERO,
            report: WorkerReport::default(),
        }
    }

    /// Works until it is stopped, and while it is active.
    pub(super) async fn serve(mut self, mut signals: Signals, shutdown_timeout: Duration) -> WorkerReport {
        while !*signals.stopped.borrow() {
            if *signals.active.borrow_and_update() {
                self.start_reading();
            }
            tokio::select! {
                _ = signals.stopped.changed() => {}
                _ = signals.active.changed() => {
                    if !*signals.active.borrow() {
                        self.put_back_unstarted();
                    }
                }
                result = self.step() => {
                    if let Err(error) = result {
                        tracing::warn!(
                            topic = %self.runner.event_type, partition = self.partition, %error,
                            "the engine failed, trying again"
                        );
                    }
                }
            }
        }
        self.shut_down(shutdown_timeout).await
    }

    /// Works until nothing is due.
    pub(super) async fn drain(mut self) -> Result<WorkerReport> {
        loop {
            self.start_reading();
            if self.is_idle() {
                return Ok(self.report);
            }
            self.step().await?;
        }
    }

    /// Waits for the next thing to happen, and deals with it. Safe to cancel.
    async fn step(&mut self) -> Result<()> {
        self.start_recording();
        let reader_waits = self.reading.is_none() && self.reader.is_some();
        let next_read = self.reader.as_ref().map_or(0, Reader::next_read_millis);
        let clock = self.engine.clock();
        let has_room = self.held.has_room();
        tokio::select! {
            Some(page) = OptionFuture::from(self.reading.as_mut()) => {
                self.reading = None;
                self.take_page(page)
            }
            Some(recorded) = OptionFuture::from(self.recording.as_mut()) => {
                self.recording = None;
                self.take_recorded(recorded)
            }
            () = self.lanes.finished() => {
                self.take_finished();
                Ok(())
            }
            // Only between reads: a page that is being read may be older than the commit.
            key = self.wakeup.woken(), if reader_waits => {
                let now = self.engine.clock().now_millis();
                if let Some(reader) = &mut self.reader {
                    reader.note_commit(&key, now);
                }
                Ok(())
            }
            () = clock.wait_until(next_read), if reader_waits && has_room => Ok(()),
            () = tokio::time::sleep(CLOCK_CHECK), if reader_waits && has_room => Ok(()),
        }
    }

    fn start_reading(&mut self) {
        if self.reading.is_some() || !self.held.has_room() {
            return;
        }
        let (engine, pause) = (self.engine.clone(), self.read_pause);
        let Some(reader) = &mut self.reader else {
            let (runner, partition) = (self.runner.clone(), self.partition);
            self.reading = Some(
                async move {
                    tokio::time::sleep(pause).await;
                    let _turn = runner.turn_to_read().await;
                    read_checkpoint(&engine, &runner.event_type, partition).await
                }
                .boxed(),
            );
            return;
        };
        let now_millis = self.engine.clock().now_millis();
        if let Some(key) = self.put_again.take() {
            reader.note_commit(&key, now_millis);
        }
        if reader.wants_to_read(now_millis) {
            let (range, limit) = reader.next_page(now_millis);
            let runner = self.runner.clone();
            self.reading = Some(
                async move {
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                    }
                    let _turn = runner.turn_to_read().await;
                    let _poll = runner.observe.meters.time_poll();
                    read_page(&engine, range, limit).await
                }
                .boxed(),
            );
        }
    }

    fn take_page(&mut self, page: Result<Page>) -> Result<()> {
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                self.read_pause = next_pause(self.read_pause);
                return Err(error);
            }
        };
        self.read_pause = Duration::ZERO;
        let now_millis = self.engine.clock().now_millis();
        let Some(reader) = &mut self.reader else {
            self.reader = Some(Reader::new(
                &self.runner.event_type,
                self.partition,
                page.entries.first().and_then(|(_, value)| checkpoint_floor(value)),
                page.now,
                now_millis,
                self.engine.max_transaction_age_millis(),
                self.engine.is_only_writer(),
            ));
            return Ok(());
        };
        // Of one entity's events an earlier one can be committed behind the cursor, and a later one stand in this page.
        let woken = self.wakeup.take();
        if let Some(key) = woken.as_ref().filter(|key| reader.has_passed(key)) {
            reader.note_commit(key, now_millis);
            return Ok(());
        }
        let mut outcome = PageRead::new(page.now, page.asked_millis, page.entries.len());
        let mut deliveries = Vec::with_capacity(page.entries.len());
        for (key, value) in page.entries {
            let place = keys::parse_event(&key);
            if let Some(place) = &place
                && place.seconds > page.now.seconds()
            {
                outcome.next_due = Some(place.seconds);
                break;
            }
            if self.held.is_full() {
                outcome.is_cut = true;
                break;
            }
            reader.pass(&key);
            outcome.count(value.len());
            if !self.held.hold(&key, value.len()) {
                continue;
            }
            match TitoEvent::decode(&key, &value) {
                // One with the id of another would be stored in its place when it is tried again.
                Ok(event) if place.is_some_and(|place| place.id == event.id) => {
                    deliveries.push(Delivery { key, partition: self.partition, event });
                }
                _ => {
                    tracing::error!(key = %tito_core::KeyText::from(key.as_slice()), "not an event, set aside");
                    self.unrecorded.push(Unrecorded { key, disposition: Disposition::Malformed });
                }
            }
        }
        reader.note_page(&outcome, now_millis);
        if let Some(key) = woken {
            reader.note_commit(&key, now_millis);
        }
        self.held.settle();
        self.lanes.submit(deliveries);
        Ok(())
    }

    fn take_finished(&mut self) {
        for Finished { key, verdict } in self.lanes.take_finished() {
            match verdict {
                Verdict::Unrecorded(disposition) => self.unrecorded.push(Unrecorded { key, disposition }),
                Verdict::Recorded(recorded) => {
                    self.release(key, recorded);
                }
            }
        }
    }

    /// Everything that is ready is recorded in one transaction, one at a time: while it is under way more gets ready.
    fn start_recording(&mut self) {
        if self.recording.is_some() || (self.unrecorded.is_empty() && self.batch.is_empty()) {
            return;
        }
        if self.batch.is_empty() {
            let rest = self.unrecorded.split_off(self.unrecorded.len().min(MOST_RECORDED));
            self.batch = Arc::new(std::mem::replace(&mut self.unrecorded, rest));
        }
        let now = self.engine.clock().now_millis();
        let floor = self.reader.as_ref().filter(|_| now >= self.next_checkpoint).map(|reader| {
            self.next_checkpoint = now + CHECKPOINT_EVERY;
            reader.floor(self.held.first_second())
        });
        let (engine, runner, partition) = (self.engine.clone(), self.runner.clone(), self.partition);
        let (batch, pause) = (self.batch.clone(), self.record_pause);
        self.recording = Some(
            async move {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                let _commit = runner.observe.meters.time_acknowledgement(batch.len());
                record_all(&engine, &runner, partition, &batch, floor).await
            }
            .boxed(),
        );
    }

    fn take_recorded(&mut self, recorded: Result<Vec<Recorded>>) -> Result<()> {
        let recorded = match recorded {
            Ok(recorded) => recorded,
            // Each outcome has room by itself.
            Err(TitoError::LimitExceeded { .. }) if self.batch.len() > 1 => {
                let mut batch = self.batch.to_vec();
                let rest = batch.split_off(batch.len() / 2);
                self.unrecorded.splice(..0, rest);
                self.batch = Arc::new(batch);
                return Ok(());
            }
            // The batch stays; what of it was committed all the same is found gone by the next attempt.
            Err(error) => {
                self.record_pause = next_pause(self.record_pause);
                return Err(error);
            }
        };
        self.record_pause = Duration::ZERO;
        let batch = std::mem::take(&mut self.batch);
        for (unrecorded, recorded) in batch.iter().zip(recorded) {
            self.release(unrecorded.key.clone(), recorded);
        }
        Ok(())
    }

    fn release(&mut self, key: Vec<u8>, recorded: Recorded) {
        recorded.count(&mut self.report);
        self.runner.observe.meters.handled(recorded.into());
        self.held.release(&key, self.reading.is_some());
        let is_put_again = matches!(recorded, Recorded::Retried | Recorded::Rescheduled);
        if is_put_again && self.put_again.as_ref().is_none_or(|first| key < *first) {
            self.put_again = Some(key);
        }
    }

    /// Lets go of events whose handlers have not begun; they are read again when the worker is active again.
    fn put_back_unstarted(&mut self) {
        for key in self.lanes.take_unstarted() {
            self.held.release(&key, false);
        }
        // As after a takeover, everything is read from the beginning.
        self.reading = None;
        self.reader = None;
        self.held.settle();
    }

    fn is_idle(&self) -> bool {
        let now = self.engine.clock().now_millis();
        self.held.is_empty()
            && self.put_again.is_none()
            && self.reading.is_none()
            && self.recording.is_none()
            && self.reader.as_ref().is_some_and(|reader| reader.has_caught_up(now))
            && !self.wakeup.is_woken()
    }

    async fn shut_down(mut self, timeout: Duration) -> WorkerReport {
        self.put_back_unstarted();
        let ended = tokio::time::timeout(timeout, self.finish_running()).await;
        if ended.is_err() {
            self.report.unfinished = self.lanes.abort().await;
            tracing::warn!(
                topic = %self.runner.event_type, partition = self.partition, handlers = self.report.unfinished,
                "handlers did not end before the shutdown timeout"
            );
        }
        if tokio::time::timeout(LAST_RECORDING, self.record_the_rest()).await.is_err() {
            tracing::error!(
                topic = %self.runner.event_type, partition = self.partition,
                "outcomes could not be recorded before shutdown; their events are handed out again"
            );
        }
        self.report
    }

    /// Waits until no handler runs; what has ended meanwhile is recorded.
    async fn finish_running(&mut self) {
        while self.lanes.are_running() {
            self.start_recording();
            tokio::select! {
                () = self.lanes.finished() => self.take_finished(),
                Some(recorded) = OptionFuture::from(self.recording.as_mut()) => {
                    self.recording = None;
                    if let Err(error) = self.take_recorded(recorded) {
                        tracing::warn!(%error, "recording outcomes failed, trying again");
                    }
                }
            }
        }
    }

    async fn record_the_rest(&mut self) {
        loop {
            self.take_finished();
            self.start_recording();
            let Some(recording) = self.recording.as_mut() else { return };
            let recorded = recording.await;
            self.recording = None;
            if let Err(error) = self.take_recorded(recorded) {
                tracing::warn!(%error, "recording outcomes failed, trying again");
            }
        }
    }
}

fn next_pause(pause: Duration) -> Duration {
    (pause * 2).clamp(FIRST_ERROR_PAUSE, LONGEST_ERROR_PAUSE)
}

async fn read_page<E: TitoEngine>(engine: &E, range: KeyRange, limit: usize) -> Result<Page> {
    let asked_millis = engine.clock().now_millis();
    let tx = engine.begin().await?;
    let entries = tx.scan(range, limit).await?;
    let now = tx.start_timestamp();
    tx.rollback().await;
    Ok(Page { entries, now, asked_millis })
}

/// A page of the checkpoint alone.
async fn read_checkpoint<E: TitoEngine>(engine: &E, event_type: &str, partition: u16) -> Result<Page> {
    let key = keys::checkpoint(event_type, partition);
    let asked_millis = engine.clock().now_millis();
    let tx = engine.begin().await?;
    let value = tx.get(&key).await?;
    let now = tx.start_timestamp();
    tx.rollback().await;
    Ok(Page { entries: value.map(|value| (key, value)).into_iter().collect(), now, asked_millis })
}

/// The floor of a checkpoint. One that can't be read costs a scan from the beginning, nothing else.
fn checkpoint_floor(value: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Checkpoint {
        floor: i64,
    }
    serde_json::from_slice(value).ok().map(|Checkpoint { floor }| floor)
}
