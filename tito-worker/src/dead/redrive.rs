//! Makes dead letters due again.

use std::sync::Arc;

use serde::Serialize;
use tito_core::database::{PageSize, Walk};
use tito_core::event::{TitoEvent, Topic, topic_of};
use tito_core::{Database, KeyText, Result, Transaction};
use uuid::Uuid;

use crate::again::{self, Again};
use crate::error::QueueError;
use crate::keys;
use crate::place::{Kind, Old, Place};
use crate::queue::TitoQueue;
use crate::topics::check_group;

/// What a redrive did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Redriven {
    /// Events that are due again, with all their attempts.
    pub events: u64,
    /// Dead letters whose bytes are not an event; they stay where they are.
    pub skipped: u64,
}

impl TitoQueue {
    /// Makes the dead letter with this key due again, as [`redrive_where`](TitoQueue::redrive_where) does, however many
    /// others there are. Returns whether it was there and is an event.
    ///
    /// # Errors
    /// Those of [`redrive_where`](TitoQueue::redrive_where).
    pub async fn redrive_letter(&self, queue: &str, letter: &KeyText) -> Result<bool, QueueError> {
        self.existing(queue).await?;
        let (queue, key) = (&Arc::<str>::from(queue), letter.as_bytes());
        if !keys::dead_events(queue).contains(key) {
            return Ok(false);
        }
        let redrive = |tx: Transaction| async move { move_back(&tx, queue, vec![key.to_vec()]).await };
        Ok(self.engine.transaction(redrive).await? > 0)
    }

    /// Makes one dead letter of a queue due again, as [`redrive_where`](TitoQueue::redrive_where) does, which reads all
    /// of them. Returns whether it was there and is an event.
    ///
    /// # Errors
    /// Those of [`redrive_where`](TitoQueue::redrive_where).
    pub async fn redrive(&self, queue: &str, id: Uuid) -> Result<bool, QueueError> {
        Ok(self.redrive_where(queue, |event| event.id == id).await?.events > 0)
    }

    /// Makes all dead letters of a queue due again, as [`redrive_where`](TitoQueue::redrive_where) does.
    ///
    /// # Errors
    /// Those of [`redrive_where`](TitoQueue::redrive_where).
    pub async fn redrive_all(&self, queue: &str) -> Result<Redriven, QueueError> {
        self.redrive_where(queue, |_| true).await
    }

    /// Makes the chosen dead letters of a queue, `{type}` or `{type}@{group}`, due again, with all their attempts, in
    /// transactions of at most 200 each. They go back to their last places, so that they come before the later events
    /// of their entities. Events that fail for good after the call has begun are left alone.
    ///
    /// Reads all dead letters first, and keeps the places of the chosen ones (some 50 bytes each) in memory meanwhile.
    ///
    /// ```
    /// # use tito_core::prelude::*;
    /// # use tito_worker::prelude::*;
    /// # async fn example(queue: TitoQueue) -> Result<(), TitoError> {
    /// let redriven = queue
    ///     .redrive_where("mail@billing", |event| {
    ///         event.failures.last().is_some_and(|failure| failure.error.contains("connection refused"))
    ///     })
    ///     .await?;
    /// println!("{} events are due again", redriven.events);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName),
    /// [`QueueError::UnknownGroup`](crate::QueueError::UnknownGroup), and those of the engine; what was redriven by
    /// then stays redriven.
    pub async fn redrive_where(
        &self,
        queue: &str,
        is_chosen: impl Fn(&TitoEvent) -> bool + Send + Sync,
    ) -> Result<Redriven, QueueError> {
        self.existing(queue).await?;
        // Without a bound in time a worker that gives events up at once would keep this going for ever. The order's is
        // never before now, and not before what was now until the database's time was set back either.
        let latest = (self.engine.timestamp().await?.physical_millis() / 1_000) as i64;
        let (mut chosen, skipped) = choose(&self.engine, queue, latest, is_chosen).await?;
        // In the order in which those of an entity are handled: a worker gets some while others are still to be moved.
        chosen.sort_unstable_by_key(|letter| (letter.timestamp, letter.place.id));
        let mut redriven = Redriven { events: 0, skipped };
        let (queue, mut rest) = (Arc::<str>::from(queue), chosen.as_slice());
        let size = PageSize::within(self.engine.limits());
        while !rest.is_empty() {
            let (step, others) = rest.split_at(size.first_of(rest.iter().map(|letter| letter.bytes)));
            let keys: Vec<_> = step.iter().map(|letter| letter.place.key(&queue)).collect();
            let queue = queue.clone();
            let moving = self.engine.transaction(|tx| async move { move_back(&tx, &queue, keys).await });
            // On the heap, as calls are made of many of these.
            redriven.events += Box::pin(moving).await?;
            rest = others;
        }
        Ok(redriven)
    }
}

/// A dead letter that is to be redriven.
struct Chosen {
    /// The second at which it lay among the events.
    timestamp: i64,
    place: Place,
    bytes: usize,
}

/// The dead letters that are to be redriven, and how many entries are no events.
async fn choose(
    database: &Database,
    queue: &str,
    latest: i64,
    is_chosen: impl Fn(&TitoEvent) -> bool + Send + Sync,
) -> Result<(Vec<Chosen>, u64)> {
    let (mut chosen, mut skipped) = (Vec::new(), 0);
    let mut walk = Walk::over(keys::dead_events(queue));
    while let Some((page, _)) = walk.next(database).await? {
        for (key, value) in page {
            match (Place::parse(Kind::Dead, &key), TitoEvent::decode(&key, &value)) {
                (Some(place), Ok(event)) if place.second <= latest && is_chosen(&event) => {
                    chosen.push(Chosen { timestamp: event.timestamp, place, bytes: value.len() });
                }
                (Some(_), Ok(_)) => {}
                _ => skipped += 1,
            }
        }
    }
    Ok((chosen, skipped))
}

/// Workers do not look for events where these are put: the new revision of the topic makes them.
async fn move_back(tx: &Transaction, queue: &Arc<str>, letters: Vec<Vec<u8>>) -> Result<u64> {
    let stored = tx.batch_get(letters.clone()).await?;
    // Others may have been redriven or purged meanwhile.
    let found = letters.iter().zip(stored).filter_map(|(key, value)| TitoEvent::decode(key, &value?).ok());
    let events: Vec<_> = found.collect();
    if events.is_empty() {
        return Ok(0);
    }
    let (topic_name, group) = topic_of(queue);
    let topic = Topic::raise_revision(tx, topic_name).await?;
    check_group(&topic, topic_name, group)?;
    let (now, moved) = (tx.now().seconds(), events.len() as u64);
    for event in events {
        let event = Again::Redriven { now }.applied_to(event);
        again::put(tx, queue, &topic, &event, Some(Old::kept(&event.key))).await?;
    }
    Ok(moved)
}
