//! Plain handlers, several at a time.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, OptionFuture};
use futures::{FutureExt, poll};
use tito_core::panics::Contained;
use tito_worker::WorkerReport;
use tito_worker::feed::{Fed, FeedControls, FeedEnded, FeedWatched, Permit, Started};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::begin::Begun;
use super::feed::{Ended, Reacting};
use super::position::Position;
use super::reaction::Plain;
use super::record::{Queued, Recorded, ToQueue};
use super::reference::described;
use super::waiting::Waiting;
use crate::error::{EventStoreError, Result};
use crate::event::Event;
use crate::read::{Cursor, Wait};

/// How many events are handed out, or wait for an earlier one of their entity, at the most.
const MOST_OPEN: usize = 2_048;

/// How many events go into the queue in one transaction, about.
const MOST_QUEUED: usize = 500;

/// How many events are in the queue at the most while it is found out what has killed a process.
const MOST_SUSPECTS: usize = 1_000;

/// So many events, or so much time, are behind what is recorded at the most, beside those that are
/// open and while there is more to do.
const RECORD_EVENTS: u64 = 8_192;
const RECORD_TIME: Duration = Duration::from_millis(100);

/// How many sequences of which none is selected are passed before that is recorded.
const RECORD_PASSED: u64 = 10_000;

/// How soon it is tried again where others have all permits, or the queue is full.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The longest pause between attempts to record.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long the last recording may take once the shutdown timeout has passed.
const LAST_RECORDING: Duration = Duration::from_secs(5);

type Reading = BoxFuture<'static, (Cursor, Result<Vec<Event>>)>;
type Recording = BoxFuture<'static, Result<Option<Recorded>>>;

/// A handler that has ended.
struct Finished {
    sequence: u64,
    entity: String,
    ended: FeedEnded,
    watched: FeedWatched,
}

/// One reactor at work.
pub(super) struct Beside<'a> {
    reacting: &'a Arc<Reacting>,
    handler: Plain,
    fed: &'a Fed,
    report: &'a mut WorkerReport,
    /// As it is recorded, and as that is stored.
    position: Position,
    stored: Arc<[u8]>,
    revision: u64,
    waiting: Waiting,
    /// None while a page is read.
    cursor: Option<Cursor>,
    reading: Option<Reading>,
    /// Whether everything that there was is in `ahead`.
    is_at_end: bool,
    /// Why the event at which the cursor stands can't be read.
    unreadable: Option<(u64, Option<String>, EventStoreError)>,
    /// Read, and not handed out.
    ahead: VecDeque<Event>,
    /// Up to where everything was handed out or goes into the queue, but for what is open.
    reached: u64,
    open: BTreeSet<u64>,
    /// Entities of which a handler runs, and what waits for that.
    lanes: HashMap<String, VecDeque<Event>>,
    tasks: JoinSet<Finished>,
    /// What goes into the queue with the next recording, and with the one that is under way.
    queued: Vec<Queued>,
    queued_now: Vec<Queued>,
    done: u64,
    done_now: u64,
    watched: Vec<FeedWatched>,
    watched_now: Vec<FeedWatched>,
    recording: Option<Recording>,
    next_recording: Instant,
    record_pause: Duration,
    /// When handing out may go on by a rate, in milliseconds of the monotonic clock.
    rated_until: Option<u64>,
    /// Whether others have all permits, or the queue is full.
    is_blocked: bool,
    /// Whether the store had more.
    has_found: bool,
    /// Somebody else has moved the reactor.
    is_lost: bool,
}

impl<'a> Beside<'a> {
    pub(super) fn new(
        reacting: &'a Arc<Reacting>,
        handler: Plain,
        fed: &'a Fed,
        report: &'a mut WorkerReport,
        begun: Begun,
    ) -> Result<Self> {
        let Begun { position, stored, revision, waiting, open: ahead, unreadable } = begun;
        let select = reacting.select.clone();
        let begin = position.sequence.max(select.begin());
        let mut beside = Self {
            cursor: Some(Cursor::new(&reacting.store, &select.after(begin))?),
            reacting,
            handler,
            fed,
            report,
            stored: stored.into(),
            revision,
            waiting,
            reading: None,
            is_at_end: false,
            unreadable: None,
            reached: position.sequence,
            open: ahead.iter().map(Event::sequence).collect(),
            ahead,
            position,
            lanes: HashMap::new(),
            tasks: JoinSet::new(),
            queued: Vec::new(),
            queued_now: Vec::new(),
            done: 0,
            done_now: 0,
            watched: Vec::new(),
            watched_now: Vec::new(),
            recording: None,
            next_recording: Instant::now(),
            record_pause: Duration::ZERO,
            rated_until: None,
            is_blocked: false,
            has_found: false,
            is_lost: false,
        };
        for (sequence, entity, error) in unreadable {
            beside.queue_unreadable(sequence, entity, &error);
        }
        Ok(beside)
    }

    /// Works until there is a reason not to go on, and then until the handlers that run have ended.
    pub(super) async fn work(mut self, controls: &mut FeedControls, mut wait: Wait) -> Result<Ended> {
        let mut failed = None;
        let mut deadline = None;
        let clock = self.fed.database().clock().clone();
        loop {
            let goes_on =
                !self.is_lost && failed.is_none() && controls.may_hand_out() && controls.revision() <= self.revision;
            if controls.is_stopped() && deadline.is_none() {
                deadline = Some(Instant::now() + controls.shutdown_timeout());
            }
            if goes_on {
                if let Some(page) = self.start_reading().await {
                    failed = self.take_page(page).await.err();
                    continue;
                }
                match self.hand_out().await {
                    Ok(()) => {}
                    Err(error) => {
                        failed = Some(error);
                        continue;
                    }
                }
            }
            self.start_recording(!goes_on || (self.is_at_end && self.ahead.is_empty()));
            let is_idle = self.tasks.is_empty() && self.recording.is_none();
            if is_idle && !goes_on && (failed.is_some() || self.is_lost || !self.has_news()) {
                return failed.map_or(Ok(Ended::Changed), Err);
            }
            let is_caught_up = self.is_at_end && self.ahead.is_empty() && self.unreadable.is_none();
            if is_idle && is_caught_up && self.queued.is_empty() && controls.drains() {
                return Ok(Ended::Idle);
            }
            if std::mem::take(&mut self.has_found) {
                wait.found();
            }
            let is_to_record = self.recording.is_none() && self.has_news();
            let rated_until = self.rated_until.filter(|_| goes_on);
            tokio::select! {
                Some((cursor, page)) = OptionFuture::from(self.reading.as_mut()), if goes_on => {
                    self.reading = None;
                    self.cursor = Some(cursor);
                    failed = self.take_page(page).await.err();
                }
                Some(recorded) = OptionFuture::from(self.recording.as_mut()) => {
                    self.recording = None;
                    if let Err(error) = self.take_recorded(recorded) {
                        match controls.drains() {
                            true => failed = Some(error),
                            false => self.reacting.log(&error, "a reactor's progress can't be recorded, trying again"),
                        }
                    }
                }
                Some(finished) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    // One that was aborted is open still.
                    if let Ok(finished) = finished {
                        self.finish(finished);
                    }
                }
                more = wait.more(), if goes_on && is_caught_up => match more {
                    Ok(()) => failed = self.look_again().await.err(),
                    Err(error) => failed = Some(error),
                },
                () = clock.wait_until_monotonic(rated_until.unwrap_or(u64::MAX)), if rated_until.is_some() => {}
                () = tokio::time::sleep(LOOK_AGAIN), if goes_on && self.is_blocked => {}
                () = tokio::time::sleep_until(self.next_recording), if is_to_record => {}
                () = controls.changed() => {}
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    return self.end_in_haste().await;
                }
            }
        }
    }

    /// Begins to read a page, if it is time for that. One that is there at once is returned.
    async fn start_reading(&mut self) -> Option<Result<Vec<Event>>> {
        if self.ahead.len() < MOST_OPEN / 2 && !self.is_at_end && self.unreadable.is_none() {
            if let Some(mut cursor) = self.cursor.take() {
                let read = async move {
                    let page = cursor.next_page().await;
                    (cursor, page)
                };
                self.reading = Some(read.boxed());
            }
            // Engines read on another thread: it is under way while events are handed out.
            if let Some(reading) = &mut self.reading
                && let std::task::Poll::Ready((cursor, page)) = poll!(reading)
            {
                self.reading = None;
                self.cursor = Some(cursor);
                return Some(page);
            }
        }
        None
    }

    async fn take_page(&mut self, page: Result<Vec<Event>>) -> Result<()> {
        let Some(cursor) = &mut self.cursor else { return Ok(()) };
        match page {
            Ok(page) if page.is_empty() => {
                self.is_at_end = true;
                if self.ahead.is_empty() {
                    self.reached = self.reached.max(cursor.position());
                }
                Ok(())
            }
            Ok(page) => {
                if self.waiting.events() > 0 {
                    let tx = self.fed.database().begin().await?;
                    let looked = self.waiting.look(self.fed, &tx, &page).await;
                    tx.rollback().await;
                    looked?;
                }
                self.has_found = true;
                self.ahead.extend(page);
                Ok(())
            }
            Err(error) => {
                let Some(at_fault) = cursor.at_fault() else { return Err(error) };
                let entity = at_fault.event.as_ref().map(|event| event.entity().to_string());
                self.unreadable = Some((at_fault.sequence, entity, error));
                cursor.pass_over();
                Ok(())
            }
        }
    }

    /// There may be more of the store, or the reactor was changed.
    async fn look_again(&mut self) -> Result<()> {
        if !self.reacting.is_as(&self.stored).await? {
            self.is_lost = true;
            return Ok(());
        }
        self.is_at_end = false;
        if let Some(cursor) = &mut self.cursor {
            cursor.extend();
        }
        Ok(())
    }

    /// Hands out what is ahead, as far as there is room.
    async fn hand_out(&mut self) -> Result<()> {
        (self.rated_until, self.is_blocked) = (None, false);
        if self.ahead.is_empty()
            && self.tasks.is_empty()
            && let Some((sequence, entity, error)) = self.unreadable.take()
        {
            // After all that comes before it.
            self.queue_unreadable(sequence, entity, &error);
            return Ok(());
        }
        if self.ahead.is_empty() {
            return Ok(());
        }
        let is_careful = self.fed.begin().await?;
        if is_careful && self.waiting.events() >= MOST_SUSPECTS {
            let tx = self.fed.database().begin().await?;
            let looked = self.waiting.look_at_all(self.fed, &tx).await;
            tx.rollback().await;
            looked?;
        }
        let mut permit = None;
        while let Some(event) = self.ahead.front() {
            if self.open.len() >= MOST_OPEN || self.queued.len() >= MOST_QUEUED {
                return Ok(());
            }
            let sequence = event.sequence();
            if self.waiting.holds(event.entity()) || is_careful {
                if is_careful && self.waiting.events() >= MOST_SUSPECTS {
                    self.is_blocked = true;
                    return Ok(());
                }
                let Some(event) = self.ahead.pop_front() else { return Ok(()) };
                self.queue_event(
                    sequence,
                    Some(event.entity().to_string()),
                    FeedEnded::not_begun(),
                    FeedWatched::default(),
                );
                self.pass(sequence);
                continue;
            }
            if !self.lanes.is_empty() && self.lanes.contains_key(event.entity()) {
                let Some(event) = self.ahead.pop_front() else { return Ok(()) };
                self.open.insert(sequence);
                self.reached = self.reached.max(sequence);
                self.lanes.entry(event.entity().to_string()).or_default().push_back(event);
                continue;
            }
            if permit.is_none() {
                permit = self.fed.try_permit();
            }
            let Some(allowed) = permit.take() else {
                self.is_blocked = true;
                return Ok(());
            };
            if let Err(moment) = self.fed.may_start(1) {
                self.rated_until = Some(moment);
                return Ok(());
            }
            let Some(event) = self.ahead.pop_front() else { return Ok(()) };
            self.reached = self.reached.max(sequence);
            permit = self.begin(event, allowed).await;
            // Handlers that never wait would keep others of this thread from running.
            tokio::task::consume_budget().await;
        }
        if self.is_at_end
            && self.unreadable.is_none()
            && let Some(cursor) = &self.cursor
        {
            self.reached = self.reached.max(cursor.position());
        }
        Ok(())
    }

    /// Begins the handler of an event, and gives the permit back if that has ended already.
    async fn begin(&mut self, event: Event, permit: Permit) -> Option<Permit> {
        let sequence = event.sequence();
        let told = match self.fed.is_watched() {
            true => described((self.fed.queue(), self.revision), (sequence, self.position.since), Some(&event)).ok(),
            false => None,
        };
        // Its name is needed if it does not end at once, and well.
        let subject = (event.entity().len(), event.subject().to_string());
        match self.fed.start((self.handler)(event), told).await {
            Started::Ended(ended, watched) if ended.is_done() => {
                self.note_done(sequence, watched);
                Some(permit)
            }
            Started::Ended(ended, watched) => {
                self.note_not_done(sequence, entity_of(subject), ended, watched);
                Some(permit)
            }
            Started::Waits(running) => {
                let entity = entity_of(subject);
                self.open.insert(sequence);
                self.lanes.entry(entity.clone()).or_default();
                self.tasks.spawn(Contained::new(async move {
                    let (ended, watched) = running.await;
                    drop(permit);
                    Finished { sequence, entity, ended, watched }
                }));
                None
            }
        }
    }

    fn note_done(&mut self, sequence: u64, watched: FeedWatched) {
        self.done += 1;
        if self.fed.is_watched() {
            self.watched.push(watched);
        }
        self.pass(sequence);
    }

    /// Nothing keeps the position from passing an event any more.
    fn pass(&mut self, sequence: u64) {
        self.reached = self.reached.max(sequence);
        if !self.open.is_empty() {
            self.open.remove(&sequence);
        }
    }

    /// An event goes into the queue, and in strict order with it what waits for it.
    fn note_not_done(&mut self, sequence: u64, entity: String, ended: FeedEnded, watched: FeedWatched) {
        self.pass(sequence);
        let later =
            if self.fed.keeps_order() { self.lanes.remove(&entity).unwrap_or_default() } else { VecDeque::new() };
        self.queue_event(sequence, Some(entity.clone()), ended, watched);
        for event in later {
            self.pass(event.sequence());
            self.queue_event(event.sequence(), Some(entity.clone()), FeedEnded::not_begun(), FeedWatched::default());
        }
    }

    fn queue_event(&mut self, sequence: u64, entity: Option<String>, ended: FeedEnded, watched: FeedWatched) {
        let not_before = entity.as_deref().map_or(0, |entity| self.waiting.last_second(entity));
        if let Some(entity) = &entity {
            self.waiting.comes(entity);
        }
        self.queued.push(Queued { event: ToQueue { sequence, entity, ended, not_before }, watched });
    }

    fn queue_unreadable(&mut self, sequence: u64, entity: Option<String>, error: &EventStoreError) {
        self.reacting.log(error, "a reactor has met an event that can't be read, which is tried again");
        let ended = match entity.as_deref().is_some_and(|entity| self.waiting.holds(entity)) {
            true => FeedEnded::not_begun(),
            false => FeedEnded::failed(error),
        };
        self.queue_event(sequence, entity, ended, FeedWatched::default());
        self.pass(sequence);
    }

    /// Takes note of a handler that has ended, and lets what waited for it go first.
    fn finish(&mut self, Finished { sequence, entity, ended, watched }: Finished) {
        if !ended.is_done() {
            self.note_not_done(sequence, entity.clone(), ended, watched);
        } else {
            self.note_done(sequence, watched);
        }
        for event in self.lanes.remove(&entity).unwrap_or_default().into_iter().rev() {
            self.ahead.push_front(event);
        }
    }

    fn has_news(&self) -> bool {
        self.done > 0 || !self.queued.is_empty()
    }

    /// Records what there is to be recorded, if it is time for that; at once if nothing more comes for now.
    fn start_recording(&mut self, is_last: bool) {
        if self.recording.is_some() || self.is_lost {
            return;
        }
        let now = Instant::now();
        let waits = !self.record_pause.is_zero() && now < self.next_recording;
        let is_time = is_last || self.done >= RECORD_EVENTS || now >= self.next_recording;
        let has_passed = self.reached >= self.position.sequence.saturating_add(RECORD_PASSED);
        if waits || !(has_passed || !self.queued.is_empty() || self.done > 0 && is_time) {
            return;
        }
        self.next_recording = now + RECORD_TIME;
        let open = self.open.iter().copied().collect();
        let position = Position { sequence: self.reached, open, ..self.position.clone() };
        self.queued_now = std::mem::take(&mut self.queued);
        self.done_now = std::mem::take(&mut self.done);
        self.watched_now = std::mem::take(&mut self.watched);
        let events = self.queued_now.iter().map(|queued| queued.event.clone()).collect();
        let (reacting, fed, stored) = (self.reacting.clone(), self.fed.clone(), self.stored.clone());
        self.recording = Some(reacting.record(fed, stored, position, events).boxed());
    }

    fn take_recorded(&mut self, recorded: Result<Option<Recorded>>) -> Result<()> {
        let recorded = match recorded {
            Ok(Some(recorded)) => recorded,
            Ok(None) => {
                // Whoever has moved it hands these out again.
                self.is_lost = true;
                self.watched_now.drain(..).for_each(FeedWatched::release);
                self.queued_now.drain(..).for_each(|queued| queued.watched.release());
                return Ok(());
            }
            Err(error) => {
                let later = std::mem::replace(&mut self.queued, std::mem::take(&mut self.queued_now));
                self.queued.extend(later);
                self.done += std::mem::take(&mut self.done_now);
                self.watched.append(&mut self.watched_now);
                self.record_pause = (self.record_pause * 2).clamp(LOOK_AGAIN, LONGEST_PAUSE);
                self.next_recording = Instant::now() + self.record_pause;
                return Err(error);
            }
        };
        self.record_pause = Duration::ZERO;
        for (at, queued) in std::mem::take(&mut self.queued_now).into_iter().enumerate() {
            if let Some(entity) = &queued.event.entity {
                self.waiting.came(entity, recorded.place(at));
            }
            if let Some(recorded) = &recorded.queued[at] {
                self.fed.tell(self.report, recorded, queued.watched);
            }
        }
        self.fed.tell_done(self.report, std::mem::take(&mut self.done_now), self.watched_now.drain(..));
        self.position = recorded.position;
        self.stored = recorded.stored.into();
        Ok(())
    }

    /// The time is over that handlers get to end.
    async fn end_in_haste(mut self) -> Result<Ended> {
        let (store, reactor, handlers) = (self.reacting.store.name(), &*self.reacting.name, self.tasks.len());
        let log = || {
            tracing::warn!(store, reactor, handlers, "handlers of a reactor did not end before the shutdown timeout")
        };
        self.reacting.store.logger().with(log);
        self.report.unfinished += handlers as u64;
        self.tasks.abort_all();
        let last = async {
            loop {
                self.record_pause = Duration::ZERO;
                self.start_recording(true);
                let Some(recording) = &mut self.recording else { return Ok(Ended::Changed) };
                let recorded = recording.await;
                self.recording = None;
                self.take_recorded(recorded)?;
            }
        };
        match tokio::time::timeout(LAST_RECORDING, last).await {
            Ok(ended) => ended,
            Err(_) => Ok(Ended::Changed),
        }
    }
}

fn entity_of((length, mut subject): (usize, String)) -> String {
    subject.truncate(length);
    subject
}
