//! Transactional handlers of some events, in one transaction.

use std::collections::BTreeSet;
use std::sync::Arc;

use tito_core::engine::Listener;
use tito_core::{TitoError, Transaction};
use tito_worker::Outcome;
use tito_worker::feed::{Fed, FeedEnded, FeedRecorded, FeedWatched, HandlerResult};

use super::feed::Reacting;
use super::position::Position;
use super::reaction::InTransaction;
use super::record::ToQueue;
use super::reference::described;
use super::waiting::Waiting;
use crate::error::EventStoreError;
use crate::event::Event;

/// How long handlers take together at most, about, in milliseconds.
const MOST_MILLIS: u64 = 1_000;

/// Why a transaction came to nothing.
pub(super) enum Stopped {
    /// The handler has failed on this one of its events.
    By(usize, FeedEnded),
    /// Something of the store was erased since the events were read.
    Erased,
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
pub(super) struct Committed {
    /// How many events it got to.
    pub(super) passed: usize,
    pub(super) done: Vec<FeedWatched>,
    pub(super) queued: Vec<(ToQueue, Option<FeedRecorded>, FeedWatched)>,
    pub(super) position: Position,
    pub(super) stored: Vec<u8>,
}

/// One try.
pub(super) struct Attempt<'a> {
    pub(super) reacting: &'a Arc<Reacting>,
    pub(super) handler: &'a InTransaction,
    pub(super) fed: &'a Fed,
    /// As it is recorded, and as that is stored.
    pub(super) position: &'a Position,
    pub(super) stored: &'a [u8],
    pub(super) revision: u64,
    pub(super) waiting: &'a Waiting,
    /// Whether all events go into the queue.
    pub(super) is_careful: bool,
    /// In how many transactions something of the store was erased when it was looked which events are there.
    pub(super) erasures: u64,
    /// Woken when this process has erased more.
    pub(super) erased: &'a Listener,
    /// Those that are not.
    pub(super) gone: &'a BTreeSet<u64>,
}

impl Attempt<'_> {
    /// Has events handled within a transaction; none if that is not to be committed.
    pub(super) async fn handle(&self, tx: &Transaction, events: &[Event]) -> Result<Option<Committed>, Stopped> {
        let Some(checked) = self.reacting.check(self.fed, tx, self.stored).await? else { return Ok(None) };
        if !checked.feed.is_owned || self.fed.is_fenced(self.revision, checked.feed.topic.revision) {
            return Ok(None);
        }
        if checked.erasures != self.erasures {
            return Err(Stopped::Erased);
        }
        let database = self.fed.database();
        let most_millis = (database.max_transaction_age_millis() / 4).min(MOST_MILLIS);
        let enough_time = database.clock().monotonic_millis() + most_millis;
        let (mut passed, mut done) = (0, Vec::new());
        let (mut to_queue, mut queue_watched, mut held) = (Vec::new(), Vec::new(), BTreeSet::new());
        // What a handler keeps of it ends with the handlers.
        let lent = tx.lend();
        for (at, event) in events.iter().enumerate() {
            if self.gone.contains(&event.sequence()) {
                passed = at + 1;
                continue;
            }
            if self.erased.is_woken() {
                return Err(Stopped::Erased);
            }
            let entity = event.entity();
            let (ended, watched) = if self.is_careful || self.waiting.holds(entity) || held.contains(entity) {
                (FeedEnded::not_begun(), FeedWatched::default())
            } else {
                self.handle_one(lent.handle(), at, event).await?
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
        drop(lent);
        let position = self.position.passed(events[..passed].iter().map(Event::sequence));
        let queued = self.reacting.put_all(self.fed, tx, &checked, position.since, &to_queue).await?;
        let stored = self.reacting.write(tx, &position).await?;
        let queued = to_queue.into_iter().zip(queued).zip(queue_watched);
        let queued = queued.map(|((event, recorded), watched)| (event, recorded, watched)).collect();
        Ok(Some(Committed { passed, done, queued, position, stored }))
    }

    async fn handle_one(&self, tx: Transaction, at: usize, event: &Event) -> Result<(FeedEnded, FeedWatched), Stopped> {
        let told = if self.fed.is_watched() {
            described((self.fed.queue(), self.revision), (event.sequence(), self.position.since), Some(event)).ok()
        } else {
            None
        };
        let run = self.fed.hand_out(told.as_ref());
        let handled = self.fed.attempt(run.scope((self.handler)(event.clone(), tx.clone()))).await;
        match handled {
            None => Err(Stopped::By(at, FeedEnded::of(Err(self.fed.too_long().into())))),
            Some(failed @ (Err(_) | Ok(Outcome::Advance(_)))) => {
                // Whatever the handler makes of a conflict of its transaction, that is run again. Another error may be of
                // another database, or the handler's own: whether this engine has failed, the engine tells.
                if is_of_an_engine(&failed) {
                    tx.get(&self.reacting.key()).await?;
                }
                Err(Stopped::By(at, FeedEnded::of(failed)))
            }
            Some(handled) => Ok((FeedEnded::of(handled), run.end())),
        }
    }
}

fn is_of_an_engine(handled: &HandlerResult) -> bool {
    let failed = handled.as_ref().err().and_then(|error| error.downcast_ref::<TitoError>());
    failed.is_some_and(TitoError::is_engine_failure)
}
