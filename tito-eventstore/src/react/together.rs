//! Transactional handlers, many events to a transaction.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use tito_core::engine::Listener;
use tito_core::{TitoError, Transaction, TxOptions};
use tito_worker::WorkerReport;
use tito_worker::feed::{Fed, FeedControls, FeedEnded, FeedRecorded, FeedWatched};
use tokio::task::JoinSet;

use super::attempt::{Attempt, Committed, Stopped};
use super::begin::{Begun, UnreadableEvent};
use super::feed::{Ended, LOOK_AGAIN, MOST_SUSPECTS, Reacting};
use super::position::Position;
use super::reaction::InTransaction;
use super::record::ToQueue;
use super::waiting::Waiting;
use crate::error::{EventStoreError, Result};
use crate::event::Event;
use crate::read::{Cursor, Wait};

/// How many events share a transaction at most: as many as a page has, so that none is left over for a transaction of its
/// own.
const MOST_EVENTS: usize = 2_048;

/// How many sequences of which none is selected are passed before that is recorded.
const RECORD_PASSED: u64 = 10_000;

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
    /// None while a page is read.
    cursor: Option<Cursor>,
    /// The page that is being read, if one is: in a task of its own, so that its events are decoded while those before them
    /// are handled and committed.
    reading: JoinSet<(Cursor, Result<Vec<Event>>)>,
    ahead: VecDeque<Event>,
    /// What of the open events can't be read. They have their turn among the others.
    unreadable: VecDeque<UnreadableEvent>,
    /// In how many transactions something of the store was erased when it was looked last which events are there,
    erasures: u64,
    /// what is woken when this process erases more,
    erased: Listener,
    /// and those of them that are not.
    gone: BTreeSet<u64>,
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
    ) -> Self {
        let Begun { position, stored, revision, waiting, erasures, erased, cursor, open: ahead, unreadable } = begun;
        Self {
            reacting,
            handler,
            fed,
            report,
            position,
            stored,
            revision,
            waiting,
            cursor: Some(cursor),
            reading: JoinSet::new(),
            ahead,
            unreadable,
            erasures,
            erased,
            gone: BTreeSet::new(),
            most: MOST_EVENTS,
            is_careful: false,
        }
    }

    /// Works until there is a reason not to go on.
    pub(super) async fn work(mut self, controls: &mut FeedControls, mut wait: Wait) -> Result<Ended> {
        while controls.may_hand_out() && controls.revision() <= self.revision {
            let readable = self.before_the_next_unreadable();
            if readable == 0
                && let Some((sequence, entity, error)) = self.unreadable.pop_front()
            {
                if !self.queue_unreadable(sequence, entity, &error).await? {
                    return Ok(Ended::Changed);
                }
                continue;
            }
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
                        if let Some(cursor) = &mut self.cursor {
                            cursor.extend();
                        }
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
            let may_start = match self.fed.may_start(self.most.min(readable)) {
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

    /// How many of the events ahead come before the next one that can't be read.
    fn before_the_next_unreadable(&self) -> usize {
        let Some((next, ..)) = self.unreadable.front() else { return self.ahead.len() };
        self.ahead.iter().take_while(|event| event.sequence() < *next).count()
    }

    /// Looks which of the events ahead were erased. What is being read may be from before, and is read anew.
    async fn look_for_erased(&mut self) -> Result<()> {
        self.erased.take();
        let gone = self.reacting.gone(self.ahead.iter().map(Event::sequence).collect()).await?;
        (self.gone, self.erasures) = (gone.sequences, gone.erasures);
        let last = self.ahead.back().map_or(0, Event::sequence);
        let select = self.reacting.select.clone();
        let after = last.max(self.position.sequence).max(select.begin());
        self.reading = JoinSet::new();
        self.cursor = Some(Cursor::new(&self.reacting.store, &select.after(after))?);
        Ok(())
    }

    /// Begins to read the next page.
    fn read_ahead(&mut self) {
        if let Some(mut cursor) = self.cursor.take() {
            self.reading.spawn(async move {
                let page = cursor.next_page().await;
                (cursor, page)
            });
        }
    }

    async fn read(&mut self) -> Result<Read> {
        self.read_ahead();
        let (mut cursor, page) = match self.reading.join_next().await {
            Some(Ok(read)) => read,
            Some(Err(error)) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down, and this task with it.
                Err(_) => return std::future::pending().await,
            },
            None => return Ok(Read::Nothing),
        };
        let read = self.take_page(&mut cursor, page).await;
        self.cursor = Some(cursor);
        read
    }

    async fn take_page(&mut self, cursor: &mut Cursor, page: Result<Vec<Event>>) -> Result<Read> {
        match page {
            Ok(page) if page.is_empty() => {
                let reached = cursor.position();
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
                let Some(at_fault) = cursor.at_fault() else { return Err(error) };
                let entity = at_fault.event.as_ref().map(|event| event.entity().to_string());
                let sequence = at_fault.sequence;
                cursor.pass_over();
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

    /// Has some events handled, and says whether the reactor is still as it was. None of them was erased before the
    /// transaction that handles them.
    async fn commit(&mut self, most: usize) -> Result<bool> {
        self.read_ahead();
        let permit = self.fed.permit().await;
        let mut ahead = std::mem::take(&mut self.ahead);
        let count = most.min(ahead.len());
        let attempt = Attempt {
            reacting: self.reacting,
            handler: &self.handler,
            fed: self.fed,
            position: &self.position,
            stored: &self.stored,
            revision: self.revision,
            waiting: &self.waiting,
            is_careful: self.is_careful,
            erasures: self.erasures,
            erased: &self.erased,
            gone: &self.gone,
        };
        let run = (&attempt, &ahead.make_contiguous()[..count]);
        let handle = |tx: Transaction| async move { run.0.handle(&tx, run.1).await };
        let handled = self.fed.database().transaction_with(TxOptions::default(), handle).await;
        self.ahead = ahead;
        drop(permit);
        let (at, ended) = match handled {
            Ok(None) => return Ok(false),
            Ok(Some(committed)) => {
                self.take_committed(committed);
                return Ok(true);
            }
            Err(Stopped::By(at, ended)) => (at, ended),
            Err(Stopped::Erased) => {
                self.look_for_erased().await?;
                return Ok(true);
            }
            Err(Stopped::Store(error)) if is_of_the_engine(&error) => return Err(error),
            // Together they are too large, or something of one of them can't be committed.
            Err(Stopped::Store(_)) if count > 1 => {
                self.most = count / 2;
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
        let ended = if entity.as_deref().is_some_and(|entity| self.waiting.holds(entity)) {
            FeedEnded::not_begun()
        } else {
            FeedEnded::failed(error)
        };
        self.queue_one(sequence, entity, ended).await
    }

    /// Puts an event into the queue of which nothing is to be committed, and says whether the reactor is still as it was.
    async fn queue_one(&mut self, sequence: u64, entity: Option<String>, ended: FeedEnded) -> Result<bool> {
        let not_before = entity.as_deref().map_or(0, |entity| self.waiting.last_second(entity));
        let position = self.position.passed([sequence].into_iter());
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

/// Whether trying the same again can help. One that has met one conflict after the other has failed, and one that took
/// longer than its transaction may live would so again.
fn is_of_the_engine(error: &EventStoreError) -> bool {
    match error {
        EventStoreError::Engine(TitoError::RetriesExhausted { source, .. }) => {
            !matches!(**source, TitoError::Conflict { .. })
        }
        EventStoreError::Engine(TitoError::TransactionTooOld { .. }) => false,
        EventStoreError::Engine(error) => error.is_transient(),
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
