//! Transactional handlers, many events to a transaction.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use tito_core::{TitoError, Transaction, TxOptions};
use tito_worker::feed::{Fed, FeedControls, FeedEnded, FeedRecorded, FeedWatched};
use tito_worker::{Outcome, WorkerReport};

use super::begin::Begun;
use super::feed::{Ended, Reacting};
use super::position::Position;
use super::reaction::InTransaction;
use super::record::ToQueue;
use super::reference::described;
use super::waiting::Waiting;
use crate::error::{EventStoreError, Result};
use crate::event::Event;
use crate::read::{Cursor, Wait};

/// How many events share a transaction at the most.
const MOST_EVENTS: usize = 256;

/// How many events are in the queue at the most while it is found out what has killed a process.
const MOST_SUSPECTS: usize = 1_000;

/// How many sequences of which none is selected are passed before that is recorded.
const RECORD_PASSED: u64 = 10_000;

/// How soon it is looked again whether the queue has less.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(50);

/// Why a transaction came to nothing.
enum Stopped {
    /// The handler has failed on this one of its events.
    By(usize, FeedEnded),
    Store(EventStoreError),
}

impl From<TitoError> for Stopped {
    fn from(error: TitoError) -> Self {
        Self::Store(error.into())
    }
}

impl From<EventStoreError> for Stopped {
    fn from(error: EventStoreError) -> Self {
        Self::Store(error)
    }
}

/// What a transaction has committed.
struct Committed {
    /// How many events it got to.
    passed: usize,
    done: Vec<FeedWatched>,
    queued: Vec<(ToQueue, Option<FeedRecorded>, FeedWatched)>,
    position: Position,
    stored: Vec<u8>,
}

/// One reactor at work.
pub(super) struct Together<'a> {
    reacting: &'a Arc<Reacting>,
    handler: InTransaction,
    fed: &'a Fed,
    report: &'a mut WorkerReport,
    /// As it is recorded, and as that is stored.
    position: Position,
    stored: Vec<u8>,
    revision: u64,
    waiting: Waiting,
    cursor: Cursor,
    ahead: VecDeque<Event>,
    /// What of the open events can't be read.
    unreadable: Vec<(u64, Option<String>, EventStoreError)>,
    /// How many events the next transaction gets.
    most: usize,
    is_careful: bool,
}

impl<'a> Together<'a> {
    pub(super) fn new(
        reacting: &'a Arc<Reacting>,
        handler: InTransaction,
        fed: &'a Fed,
        report: &'a mut WorkerReport,
        begun: Begun,
    ) -> Result<Self> {
        let Begun { position, stored, revision, waiting, open: ahead, unreadable } = begun;
        let select = reacting.select.clone();
        let begin = position.sequence.max(select.begin());
        let cursor = Cursor::new(&reacting.store, &select.after(begin))?;
        let (most, is_careful) = (MOST_EVENTS, false);
        Ok(Self {
            reacting,
            handler,
            fed,
            report,
            position,
            stored,
            revision,
            waiting,
            cursor,
            ahead,
            unreadable,
            most,
            is_careful,
        })
    }

    /// Works until there is a reason not to go on.
    pub(super) async fn work(mut self, controls: &mut FeedControls, mut wait: Wait) -> Result<Ended> {
        for (sequence, entity, error) in std::mem::take(&mut self.unreadable) {
            if !self.queue_unreadable(sequence, entity, &error).await? {
                return Ok(Ended::Changed);
            }
        }
        while controls.may_hand_out() && controls.revision() <= self.revision {
            if self.ahead.is_empty() {
                match self.read().await? {
                    Read::Some => wait.found(),
                    Read::IsLost => return Ok(Ended::Changed),
                    Read::Nothing if controls.drains() => return Ok(Ended::Idle),
                    Read::Nothing => {
                        tokio::select! {
                            more = wait.more() => more?,
                            () = controls.changed() => continue,
                        }
                        if !self.reacting.is_as(&self.stored).await? {
                            return Ok(Ended::Changed);
                        }
                        self.cursor.extend();
                    }
                }
                continue;
            }
            self.is_careful = self.fed.begin().await?;
            if self.is_careful && self.waiting.events() >= MOST_SUSPECTS {
                self.look_at_all().await?;
                if self.waiting.events() >= MOST_SUSPECTS {
                    tokio::select! {
                        () = tokio::time::sleep(LOOK_AGAIN) => {}
                        () = controls.changed() => {}
                    }
                    continue;
                }
            }
            let may_start = match self.fed.may_start(self.most.min(self.ahead.len())) {
                Ok(events) => events,
                Err(moment) => {
                    tokio::select! {
                        () = self.fed.database().clock().wait_until_monotonic(moment) => {}
                        () = controls.changed() => {}
                    }
                    continue;
                }
            };
            let committed = tokio::select! {
                committed = self.commit(may_start) => Some(committed?),
                () = has_to_end(controls) => None,
            };
            match committed {
                Some(true) => {}
                Some(false) => return Ok(Ended::Changed),
                None => {
                    self.report.unfinished += 1;
                    return Ok(Ended::Changed);
                }
            }
        }
        Ok(Ended::Changed)
    }

    async fn read(&mut self) -> Result<Read> {
        match self.cursor.next_page().await {
            Ok(page) if page.is_empty() => {
                let reached = self.cursor.position();
                if reached < self.position.sequence.saturating_add(RECORD_PASSED) {
                    return Ok(Read::Nothing);
                }
                let position = Position { sequence: reached, ..self.position.clone() };
                Ok(if self.record(position, None).await? { Read::Nothing } else { Read::IsLost })
            }
            Ok(page) => {
                if self.waiting.events() > 0 {
                    let tx = self.fed.database().begin().await?;
                    let looked = self.waiting.look(self.fed, &tx, &page).await;
                    tx.rollback().await;
                    looked?;
                }
                self.ahead.extend(page);
                Ok(Read::Some)
            }
            Err(error) => {
                let Some(at_fault) = self.cursor.at_fault() else { return Err(error) };
                let entity = at_fault.event.as_ref().map(|event| event.entity().to_string());
                let sequence = at_fault.sequence;
                self.cursor.pass_over();
                Ok(if self.queue_unreadable(sequence, entity, &error).await? { Read::Some } else { Read::IsLost })
            }
        }
    }

    async fn look_at_all(&mut self) -> Result<()> {
        let tx = self.fed.database().begin().await?;
        let looked = self.waiting.look_at_all(self.fed, &tx).await;
        tx.rollback().await;
        looked
    }

    /// Has some events handled, and says whether the reactor is still as it was.
    async fn commit(&mut self, most: usize) -> Result<bool> {
        let permit = self.fed.permit().await;
        let events: Vec<Event> = self.ahead.iter().take(most).cloned().collect();
        let run = (&*self, &events[..]);
        let handle = |tx: Transaction| async move { run.0.handle(&tx, run.1).await };
        let handled = self.fed.database().transaction_with(TxOptions::default(), handle).await;
        drop(permit);
        let (at, ended) = match handled {
            Ok(None) => return Ok(false),
            Ok(Some(committed)) => {
                self.take_committed(committed);
                return Ok(true);
            }
            Err(Stopped::By(at, ended)) => (at, ended),
            Err(Stopped::Store(error)) if is_of_the_engine(&error) => return Err(error),
            // Together they are too large, or something of one of them can't be committed.
            Err(Stopped::Store(_)) if events.len() > 1 => {
                self.most = events.len() / 2;
                return Ok(true);
            }
            Err(Stopped::Store(error)) => (0, FeedEnded::failed(&error)),
        };
        if at > 0 {
            // Those before it are committed first.
            self.most = at;
            return Ok(true);
        }
        let Some(event) = self.ahead.pop_front() else { return Ok(true) };
        self.most = MOST_EVENTS;
        self.queue_one(event.sequence(), Some(event.entity().to_string()), ended).await
    }

    /// Has events handled within a transaction; none if that is not to be committed.
    async fn handle(&self, tx: &Transaction, events: &[Event]) -> Result<Option<Committed>, Stopped> {
        let Some(checked) = self.reacting.check(self.fed, tx, &self.stored).await? else { return Ok(None) };
        if !checked.is_owned || self.fed.is_fenced(self.revision, checked.topic.revision) {
            return Ok(None);
        }
        let database = self.fed.database();
        let enough_time = database.clock().monotonic_millis() + database.max_transaction_age_millis() / 4;
        let (mut passed, mut done) = (0, Vec::new());
        let (mut to_queue, mut queue_watched, mut held) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (at, event) in events.iter().enumerate() {
            let entity = event.entity();
            let (ended, watched) = if self.is_careful || self.waiting.holds(entity) || held.contains(entity) {
                (FeedEnded::not_begun(), FeedWatched::default())
            } else {
                self.handle_one(tx, at, event).await?
            };
            passed = at + 1;
            if ended.is_done() {
                done.push(watched);
            } else {
                if self.fed.keeps_order() {
                    held.insert(entity);
                }
                let (entity, not_before) = (Some(entity.to_string()), self.waiting.last_second(entity));
                to_queue.push(ToQueue { sequence: event.sequence(), entity, ended, not_before });
                queue_watched.push(watched);
            }
            if database.clock().monotonic_millis() >= enough_time {
                break;
            }
        }
        let position = self.passed(events[..passed].iter().map(Event::sequence));
        let queued = self.reacting.put_all(self.fed, tx, &checked, position.since, &to_queue).await?;
        let stored = self.reacting.write(tx, &position).await?;
        let queued = to_queue.into_iter().zip(queued).zip(queue_watched);
        let queued = queued.map(|((event, recorded), watched)| (event, recorded, watched)).collect();
        Ok(Some(Committed { passed, done, queued, position, stored }))
    }

    async fn handle_one(
        &self,
        tx: &Transaction,
        at: usize,
        event: &Event,
    ) -> Result<(FeedEnded, FeedWatched), Stopped> {
        let told = match self.fed.is_watched() {
            true => {
                described((self.fed.queue(), self.revision), (event.sequence(), self.position.since), Some(event)).ok()
            }
            false => None,
        };
        let run = self.fed.hand_out(told.as_ref());
        // What a handler keeps of it ends with the handler.
        let lent = tx.lend();
        let handled = self.fed.attempt(run.scope((self.handler)(event.clone(), lent.handle()))).await;
        drop(lent);
        match handled {
            None => Err(Stopped::By(at, FeedEnded::of(Err(self.fed.too_long().into())))),
            Some(Err(error)) => match error.downcast::<TitoError>() {
                // It is not the handler that is at fault.
                Ok(error) if is_temporary(&error) => Err(Stopped::Store((*error).into())),
                Ok(error) => Err(Stopped::By(at, FeedEnded::of(Err(error)))),
                Err(error) => Err(Stopped::By(at, FeedEnded::of(Err(error)))),
            },
            Some(advanced @ Ok(Outcome::Advance(_))) => Err(Stopped::By(at, FeedEnded::of(advanced))),
            Some(handled) => Ok((FeedEnded::of(handled), run.end())),
        }
    }

    /// The position when some events are done or in the queue.
    fn passed(&self, sequences: impl Iterator<Item = u64>) -> Position {
        let mut position = self.position.clone();
        for sequence in sequences {
            position.sequence = position.sequence.max(sequence);
            position.open.retain(|open| *open != sequence);
        }
        position
    }

    fn take_committed(&mut self, committed: Committed) {
        let Committed { passed, done, queued, position, stored } = committed;
        self.ahead.drain(..passed);
        self.most = (self.most.max(1) * 2).min(MOST_EVENTS);
        self.fed.tell_done(self.report, done.len() as u64, done);
        for (event, recorded, watched) in queued {
            self.note_queued(event.entity.as_deref(), recorded, watched);
        }
        (self.position, self.stored) = (position, stored);
    }

    fn note_queued(&mut self, entity: Option<&str>, recorded: Option<FeedRecorded>, watched: FeedWatched) {
        if let Some(entity) = entity {
            self.waiting.comes(entity);
            self.waiting.came(entity, recorded.as_ref().and_then(|recorded| recorded.waits_at));
        }
        if let Some(recorded) = recorded {
            self.fed.tell(self.report, &recorded, watched);
        }
    }

    async fn queue_unreadable(
        &mut self,
        sequence: u64,
        entity: Option<String>,
        error: &EventStoreError,
    ) -> Result<bool> {
        self.reacting.log(error, "a reactor has met an event that can't be read, which is tried again");
        let ended = match entity.as_deref().is_some_and(|entity| self.waiting.holds(entity)) {
            true => FeedEnded::not_begun(),
            false => FeedEnded::failed(error),
        };
        self.queue_one(sequence, entity, ended).await
    }

    /// Puts an event into the queue of which nothing is to be committed, and says whether the reactor is still as it was.
    async fn queue_one(&mut self, sequence: u64, entity: Option<String>, ended: FeedEnded) -> Result<bool> {
        let not_before = entity.as_deref().map_or(0, |entity| self.waiting.last_second(entity));
        let position = self.passed([sequence].into_iter());
        self.record(position, Some(ToQueue { sequence, entity, ended, not_before })).await
    }

    async fn record(&mut self, position: Position, to_queue: Option<ToQueue>) -> Result<bool> {
        let (reacting, fed, stored) = (self.reacting.clone(), self.fed.clone(), self.stored.clone());
        let entity = to_queue.as_ref().and_then(|event| event.entity.clone());
        let Some(recorded) = reacting.record(fed, stored.into(), position, to_queue.into_iter().collect()).await?
        else {
            return Ok(false);
        };
        (self.position, self.stored) = (recorded.position, recorded.stored);
        for queued in recorded.queued {
            self.note_queued(entity.as_deref(), queued, FeedWatched::default());
        }
        Ok(true)
    }
}

/// What a look for more events came to.
enum Read {
    Some,
    Nothing,
    /// Somebody else has moved the reactor.
    IsLost,
}

fn is_temporary(error: &TitoError) -> bool {
    error.is_transient() || matches!(error, TitoError::TransactionEnded)
}

/// Whether trying the same again can help. One that has met one conflict after the other has failed.
fn is_of_the_engine(error: &EventStoreError) -> bool {
    match error {
        EventStoreError::Engine(TitoError::RetriesExhausted { source, .. }) => {
            !matches!(**source, TitoError::Conflict { .. })
        }
        EventStoreError::Engine(error) => is_temporary(error),
        _ => false,
    }
}

/// Completes when the time is over that handlers get to end once the worker is to stop.
async fn has_to_end(controls: &mut FeedControls) {
    while !controls.is_stopped() {
        controls.changed().await;
    }
    tokio::time::sleep(controls.shutdown_timeout()).await;
}
