//! One partition at work: read, hand out, record.
//!
//! | file | idea |
//! |---|---|
//! | this one | the loop |
//! | `intake` | what is read, and which of that is handed out |
//! | `entry` | what to do with an entry of a page |
//! | `outcomes` | the results of handlers, and their recording |
//! | `ending` | shutdown |
//! | `page` | the reads themselves |

mod ending;
mod entry;
mod intake;
mod outcomes;
mod page;

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, OptionFuture};
use tito_core::engine::Listener;
use tito_core::event::Topic;
use tito_core::{Database, Result, Timestamp};
use tokio::sync::watch;

use self::page::Page;
use super::blocked::Blocked;
use super::cursor::Cursor;
use super::deaths::Hands;
use super::fence::Fence;
use super::lanes::Lanes;
use super::loaded::Loaded;
use super::quiet::IsQuiet;
use super::record::{RecordedBatch, Unrecorded};
use super::report::WorkerReport;
use super::runner::{Origin, Runner};
use super::waited::Waited;
use super::{FIRST_ERROR_PAUSE, LONGEST_ERROR_PAUSE};
use crate::membership::Lease;

/// How often, by the engine's clock, a checkpoint is written beside an acknowledgement.
const CHECKPOINT_EVERY: u64 = 10_000;

/// What a subscription's partitions listen to.
#[derive(Clone)]
pub(super) struct Controls {
    pub(super) stopped: watch::Receiver<bool>,
    pub(super) active: watch::Receiver<bool>,
    pub(super) topic: watch::Receiver<Arc<Topic>>,
    pub(super) time_set: watch::Receiver<Option<Timestamp>>,
}

/// How many events are recorded in one transaction.
const MOST_RECORDED: usize = 1_024;

type Reading = BoxFuture<'static, Result<Page>>;
/// Returns what it recorded.
type Recording = BoxFuture<'static, (Vec<Unrecorded>, Result<RecordedBatch>)>;

pub(super) struct Partition {
    database: Database,
    runner: Arc<Runner>,
    /// The state of the topic that this partition follows.
    topic: Arc<Topic>,
    origin: Arc<Origin>,
    wakeup: Listener,
    cursor: Option<Cursor>,
    lanes: Lanes,
    loaded: Loaded,
    blocked: Blocked,
    waited: Waited,
    /// When the engine's time was set, as far as the worker knows: more pages are read until they show that.
    time_set: Option<Timestamp>,
    /// The first key of an event that was recorded to be handled again. It may be stored under the same key, which the
    /// cursor may have passed while the event was loaded, so it is read again.
    put_again: Option<Vec<u8>>,
    /// While the worker looks for events in its place.
    quiet: Option<IsQuiet>,
    /// Whether nothing is read until the topic was reread, or the partition is taken away.
    is_fenced: bool,
    unrecorded: Vec<Unrecorded>,
    /// How many events are on their way to another partition. If the topic here is outdated, they stay, and have to be
    /// there when their partition is reread, so nothing is read until then.
    misplaced: usize,
    reading: Option<Reading>,
    recording: Option<Recording>,
    /// How many events `recording` records, and the most that it may.
    recorded_now: usize,
    most_recorded: usize,
    next_low_watermark: u64,
    read_pause: Duration,
    record_pause: Duration,
    report: WorkerReport,
}

impl Partition {
    pub(super) fn new(
        database: Database,
        runner: Arc<Runner>,
        partition: u16,
        topic: Arc<Topic>,
        lease: Option<Lease>,
        hands: Option<Arc<Hands>>,
    ) -> Self {
        let fence = Fence::new(&runner.queue, partition, lease);
        Self {
            // Registered before the first read, so that no commit is missed in between.
            wakeup: database.shared().listen(&runner.queue, partition),
            lanes: Lanes::new(runner.clone()),
            next_low_watermark: database.clock().monotonic_millis() + CHECKPOINT_EVERY,
            origin: Arc::new(Origin { partition, revision: topic.revision, fence, hands }),
            database,
            runner,
            topic,
            cursor: None,
            loaded: Loaded::default(),
            blocked: Blocked::default(),
            waited: Waited::default(),
            time_set: None,
            put_again: None,
            quiet: None,
            is_fenced: false,
            unrecorded: Vec::new(),
            misplaced: 0,
            reading: None,
            recording: None,
            recorded_now: 0,
            most_recorded: MOST_RECORDED,
            read_pause: Duration::ZERO,
            record_pause: Duration::ZERO,
            report: WorkerReport::default(),
        }
    }

    /// Works until it is stopped, and while it is active.
    pub(super) async fn serve(mut self, mut controls: Controls, shutdown_timeout: Duration) -> WorkerReport {
        while !*controls.stopped.borrow() {
            let topic = controls.topic.borrow_and_update().clone();
            if topic.revision != self.topic.revision {
                self.go_by(topic);
            }
            self.time_set = *controls.time_set.borrow_and_update();
            let is_active = *controls.active.borrow_and_update() && !self.topic.is_paused(&self.runner.queue);
            if is_active {
                self.start_reading();
            } else {
                self.release_unstarted();
            }
            tokio::select! {
                _ = controls.stopped.changed() => {}
                _ = controls.active.changed() => {}
                _ = controls.topic.changed() => {}
                _ = controls.time_set.changed() => {}
                result = self.step() => {
                    if let Err(error) = result {
                        self.runner.log_engine(Some(self.origin.partition), &error, "the engine failed");
                    }
                }
            }
        }
        self.shut_down(shutdown_timeout).await
    }

    /// Works until nothing is due, or until the topic has to be reread, which the result also says.
    pub(super) async fn drain(mut self) -> Result<(WorkerReport, bool)> {
        loop {
            self.start_reading();
            if self.is_idle() {
                return Ok((self.report, self.is_fenced));
            }
            self.step().await?;
        }
    }

    /// Waits for the next thing to happen, and handles it. Cancel-safe.
    async fn step(&mut self) -> Result<()> {
        self.start_recording();
        let cursor_waits = self.reading.is_none() && self.cursor.is_some();
        // With too many waiting entities, the next thing is that one of them falls due.
        let waits_for_time = cursor_waits && (self.has_room() || self.blocked.is_full());
        let next_read = self.next_read_millis();
        let waits_for_time = waits_for_time && next_read < u64::MAX;
        let clock = self.database.clock();
        tokio::select! {
            Some(page) = OptionFuture::from(self.reading.as_mut()) => {
                self.reading = None;
                self.take_page(page)
            }
            Some(recorded) = OptionFuture::from(self.recording.as_mut()) => {
                self.take_recorded(recorded)
            }
            () = self.lanes.finished() => {
                self.take_finished();
                Ok(())
            }
            // Only between reads: a page that is being read may be older than the commit.
            key = self.wakeup.woken(), if cursor_waits => {
                let now = self.database.clock().monotonic_millis();
                if let Some(cursor) = &mut self.cursor {
                    cursor.note_commit(&key, now);
                    if self.quiet.is_some() {
                        // The time known from the last read here may be long out of date.
                        cursor.look();
                    }
                }
                Ok(())
            }
            () = clock.wait_until_monotonic(next_read), if waits_for_time => Ok(()),
        }
    }

    /// Follows a later state of the topic. The changes may be anywhere behind the cursor, so everything is read again;
    /// running handlers continue to their end.
    fn go_by(&mut self, topic: Arc<Topic>) {
        let Origin { partition, fence, hands, .. } = &*self.origin;
        let (fence, hands) = (fence.clone(), hands.clone());
        self.origin = Arc::new(Origin { partition: *partition, revision: topic.revision, fence, hands });
        self.topic = topic;
        self.is_fenced = false;
        self.release_unstarted();
    }

    /// Releases events whose handlers have not begun; they are read again when the partition continues.
    fn release_unstarted(&mut self) {
        for key in self.lanes.take_unstarted() {
            self.loaded.release(&key, false);
            self.waited.release(&key);
        }
        // As after a takeover, everything is read from the beginning.
        self.reading = None;
        self.cursor = None;
        self.quiet = None;
        self.blocked = Blocked::default();
        self.loaded.settle();
    }

    fn has_room(&self) -> bool {
        self.loaded.has_room() && !self.blocked.is_full() && !self.is_fenced && self.misplaced == 0
    }

    fn is_idle(&self) -> bool {
        let now = self.database.clock().monotonic_millis();
        let has_caught_up = self.cursor.as_ref().is_some_and(|cursor| cursor.has_caught_up(now));
        self.loaded.is_empty()
            && self.recording.is_none()
            && (self.is_fenced
                || has_caught_up
                    && self.put_again.is_none()
                    && self.reading.is_none()
                    && !self.wakeup.is_woken()
                    && !self.is_one_unblocked(now))
    }
}

fn next_pause(pause: Duration) -> Duration {
    (pause * 2).clamp(FIRST_ERROR_PAUSE, LONGEST_ERROR_PAUSE)
}
