//! Plain handlers, several at a time.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, OptionFuture};
use tito_core::engine::Listener;
use tito_core::panics::Contained;
use tito_worker::WorkerReport;
use tito_worker::feed::{Fed, FeedControls, FeedEnded, FeedWatched, Permit, Started};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::begin::{Begun, UnreadableEvent};
use super::feed::{Ended, LOOK_AGAIN, MOST_SUSPECTS, Reacting, Reading};
use super::position::Position;
use super::reaction::Plain;
use super::record::{Queued, Recorded};
use super::reference::described;
use super::waiting::Waiting;
use crate::error::Result;
use crate::event::Event;
use crate::read::{Cursor, Wait};

/// How many events are handed out, or wait for an earlier one of their entity, at most.
pub(super) const MOST_OPEN: usize = 2_048;

/// How many events go into the queue in one transaction, about.
const MOST_QUEUED: usize = 500;

/// How long the last recording may take once the shutdown timeout has passed.
const LAST_RECORDING: Duration = Duration::from_secs(5);

pub(super) type Recording = BoxFuture<'static, Result<Option<Recorded>>>;

/// A handler that has ended.
struct Finished {
    sequence: u64,
    entity: String,
    ended: FeedEnded,
    watched: FeedWatched,
}

/// One reactor at work.
pub(super) struct Beside<'a> {
    pub(super) reacting: &'a Arc<Reacting>,
    pub(super) handler: Plain,
    pub(super) fed: &'a Fed,
    pub(super) report: &'a mut WorkerReport,
    /// As it is recorded, and as that is stored.
    pub(super) position: Position,
    pub(super) stored: Arc<[u8]>,
    pub(super) revision: u64,
    pub(super) waiting: Waiting,
    /// None while a page is read.
    pub(super) cursor: Option<Cursor>,
    pub(super) reading: Option<Reading>,
    /// Whether everything that there was is in `ahead`.
    pub(super) is_at_end: bool,
    /// Events that can't be read: open ones, or that at which the cursor stands. They have their turn among the others.
    pub(super) unreadable: VecDeque<UnreadableEvent>,
    /// Woken when this process erases something of the store.
    erased: Listener,
    /// In how many transactions something of the store was erased when it was looked last which events are there,
    pub(super) erasures: u64,
    /// and those of them that are not.
    pub(super) gone: BTreeSet<u64>,
    /// Whether it is to be looked again.
    pub(super) may_be_erased: bool,
    /// Read, and not handed out.
    pub(super) ahead: VecDeque<Event>,
    /// Up to where everything was handed out or goes into the queue, but for what is open.
    pub(super) reached: u64,
    pub(super) open: BTreeSet<u64>,
    /// Entities of which a handler runs, and what waits for that.
    pub(super) lanes: HashMap<String, VecDeque<Event>>,
    tasks: JoinSet<Finished>,
    /// What goes into the queue with the next recording, and with the one that is under way.
    pub(super) queued: Vec<Queued>,
    pub(super) queued_now: Vec<Queued>,
    pub(super) done: u64,
    pub(super) done_now: u64,
    pub(super) watched: Vec<FeedWatched>,
    pub(super) watched_now: Vec<FeedWatched>,
    pub(super) recording: Option<Recording>,
    pub(super) next_recording: Instant,
    pub(super) record_pause: Duration,
    /// When handing out may go on by a rate, in milliseconds of the monotonic clock.
    pub(super) rated_until: Option<u64>,
    /// Whether others have all permits, or the queue is full.
    pub(super) is_blocked: bool,
    /// Whether the store had more.
    pub(super) has_found: bool,
    /// Somebody else has moved the reactor.
    pub(super) is_lost: bool,
}

impl<'a> Beside<'a> {
    pub(super) fn new(
        reacting: &'a Arc<Reacting>,
        handler: Plain,
        fed: &'a Fed,
        report: &'a mut WorkerReport,
        begun: Begun,
    ) -> Self {
        let Begun { position, stored, revision, waiting, erasures, erased, cursor, open: ahead, unreadable } = begun;
        Self {
            reacting,
            handler,
            fed,
            report,
            stored: stored.into(),
            revision,
            waiting,
            cursor: Some(cursor),
            reading: None,
            is_at_end: false,
            reached: position.sequence,
            open: ahead.iter().map(Event::sequence).chain(unreadable.iter().map(|(sequence, ..)| *sequence)).collect(),
            ahead,
            unreadable,
            erased,
            erasures,
            gone: BTreeSet::new(),
            may_be_erased: false,
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
        }
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
            if goes_on && self.reading.is_none() && self.wants_page() {
                // There is room for it now.
                continue;
            }
            self.start_recording(!goes_on || (self.is_at_end && self.ahead.is_empty()));
            let is_idle = self.tasks.is_empty() && self.recording.is_none();
            if is_idle && !goes_on && (failed.is_some() || self.is_lost || !self.has_news()) {
                return failed.map_or(Ok(Ended::Changed), Err);
            }
            let is_caught_up = self.is_at_end && self.ahead.is_empty() && self.unreadable.is_empty();
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
                        if controls.drains() { failed = Some(error) } else { self.reacting.log(&error, "a reactor's progress can't be recorded, trying again") }
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

    /// Hands out what is ahead, as far as there is room.
    async fn hand_out(&mut self) -> Result<()> {
        (self.rated_until, self.is_blocked) = (None, false);
        if self.ahead.is_empty() && self.unreadable.is_empty() {
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
        loop {
            if self.erased.take().is_some() || self.may_be_erased {
                self.look_for_erased().await?;
                self.may_be_erased = false;
            }
            let next = self.ahead.front().map(Event::sequence);
            if let Some((sequence, ..)) = self.unreadable.front()
                && next.is_none_or(|next| next > *sequence)
            {
                // After all that comes before it.
                if self.tasks.is_empty()
                    && let Some((sequence, entity, error)) = self.unreadable.pop_front()
                {
                    self.queue_unreadable(sequence, entity, &error);
                    continue;
                }
                return Ok(());
            }
            let Some(event) = self.ahead.front() else { break };
            let sequence = event.sequence();
            if self.gone.remove(&sequence) {
                self.ahead.pop_front();
                self.pass(sequence);
                continue;
            }
            // One that is open already takes no more room. After a restart all that are open can wait here.
            let has_room = self.open.len() < MOST_OPEN || self.open.contains(&sequence);
            if !has_room || self.queued.len() >= MOST_QUEUED {
                return Ok(());
            }
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
            && let Some(cursor) = &self.cursor
        {
            self.reached = self.reached.max(cursor.position());
        }
        Ok(())
    }

    /// Begins the handler of an event, and gives the permit back if that has ended already.
    async fn begin(&mut self, event: Event, permit: Permit) -> Option<Permit> {
        let sequence = event.sequence();
        let told = if self.fed.is_watched() {
            described((self.fed.queue(), self.revision), (sequence, self.position.since), Some(&event)).ok()
        } else {
            None
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
