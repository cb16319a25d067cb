//! Makes dead letters due again.

use std::ops::AddAssign;
use std::sync::Arc;

use serde::Serialize;
use tito_core::engine::{Announcement, KeyValue};
use tito_core::event::{TitoEvent, Topic, check_queue_name, topic_of};
use tito_core::{KeyText, Result, TitoEngine, TitoTransaction, keys};
use uuid::Uuid;

use crate::batches::in_batches;
use crate::queue::TitoQueue;
use crate::topics::check_group;

/// What a redrive did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Redriven {
    /// Events that are due again, with all their attempts.
    pub events: u64,
    /// Dead letters whose bytes are no events; they stay where they are.
    pub skipped: u64,
}

impl AddAssign for Redriven {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.skipped += other.skipped;
    }
}

impl<E: TitoEngine> TitoQueue<E> {
    /// Makes the dead letter with this key due again, as [`redrive_where`](TitoQueue::redrive_where) does, however many
    /// others there are. Returns whether it was there and is an event.
    ///
    /// # Errors
    /// As [`redrive_where`](TitoQueue::redrive_where).
    pub async fn redrive_letter(&self, queue: &str, letter: &KeyText) -> Result<bool> {
        check_queue_name(queue)?;
        let (queue, key) = (&Arc::<str>::from(queue), letter.as_bytes());
        if !keys::dead_events(queue).contains(key) {
            return Ok(false);
        }
        let redrive = |tx: E::Transaction| async move {
            let stored = tx.get(key).await?;
            let Some(event) = stored.and_then(|stored| TitoEvent::decode(key, &stored).ok()) else { return Ok(false) };
            move_back(&tx, queue, vec![event]).await?;
            Ok(true)
        };
        self.engine.transaction(redrive).await
    }

    /// Makes one dead letter of a queue due again, as [`redrive_where`](TitoQueue::redrive_where) does, which reads all
    /// of them. Returns whether it was there and is an event.
    ///
    /// # Errors
    /// As [`redrive_where`](TitoQueue::redrive_where).
    pub async fn redrive(&self, queue: &str, id: Uuid) -> Result<bool> {
        Ok(self.redrive_where(queue, |event| event.id == id).await?.events > 0)
    }

    /// Makes all dead letters of a queue due again, as [`redrive_where`](TitoQueue::redrive_where) does.
    ///
    /// # Errors
    /// As [`redrive_where`](TitoQueue::redrive_where).
    pub async fn redrive_all(&self, queue: &str) -> Result<Redriven> {
        self.redrive_where(queue, |_| true).await
    }

    /// Makes the chosen dead letters of a queue, `{type}` or `{type}@{group}`, due again, with all their attempts, in
    /// transactions of at most 200 each. They go back to where they last lay, so that they come before the later events
    /// of their entities. What is given up after the call has begun is left alone.
    ///
    /// ```
    /// # use tito_core::prelude::*;
    /// # use tito_worker::prelude::*;
    /// # async fn example(queue: TitoQueue<impl TitoEngine>) -> Result<(), TitoError> {
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
    /// [`TitoError::UnknownGroup`](tito_core::TitoError::UnknownGroup), and those of the engine; what was redriven by
    /// then stays redriven.
    pub async fn redrive_where(
        &self,
        queue: &str,
        is_chosen: impl Fn(&TitoEvent) -> bool + Send + Sync,
    ) -> Result<Redriven> {
        check_queue_name(queue)?;
        let (queue, is_chosen) = (Arc::<str>::from(queue), Arc::new(is_chosen));
        // Without a bound in time a worker that gives events up at once would keep this going for ever.
        let latest = self.engine.timestamp().await?.seconds();
        in_batches(&self.engine, keys::dead_events(&queue), move |tx: E::Transaction, page| {
            let queue = queue.clone();
            let (chosen, skipped) = choose(page, latest, &*is_chosen);
            async move {
                let events = chosen.len() as u64;
                if events > 0 {
                    move_back(&tx, &queue, chosen).await?;
                }
                Ok(Redriven { events, skipped })
            }
        })
        .await
    }
}

/// The events that are to be redriven with their keys, and how many entries are none.
fn choose(page: Vec<KeyValue>, latest: i64, is_chosen: impl Fn(&TitoEvent) -> bool) -> (Vec<TitoEvent>, u64) {
    let (mut chosen, mut skipped) = (Vec::new(), 0);
    for (key, value) in page {
        match (keys::parse_event(&key), TitoEvent::decode(&key, &value)) {
            (Some(place), Ok(event)) if place.seconds <= latest && is_chosen(&event) => chosen.push(event),
            (Some(_), Ok(_)) => {}
            _ => skipped += 1,
        }
    }
    (chosen, skipped)
}

/// Workers do not look for events where these are put: the new revision of the topic makes them.
async fn move_back<T: TitoTransaction>(tx: &T, queue: &Arc<str>, events: Vec<TitoEvent>) -> Result<()> {
    let (event_type, group) = topic_of(queue);
    let topic = Topic::raise_revision(tx, event_type).await?;
    check_group(&topic, event_type, group)?;
    let now = tx.start_timestamp().seconds();
    for mut event in events {
        let partition = topic.partition_of(&event.entity);
        event.attempt = 0;
        event.not_before = None;
        event.timestamp = event.timestamp.clamp(0, now);
        let key = keys::event(queue, partition, event.timestamp, event.id);
        tx.put(key.clone(), event.encode()?).await?;
        tx.delete(std::mem::take(&mut event.key)).await?;
        tx.outbox().announce(Announcement { event_type: queue.clone(), partition, key });
    }
    Ok(())
}
