//! Dead letters: events that were given up.

use std::sync::Arc;

use tito_core::engine::Announcement;
use tito_core::event::{TitoEvent, Topic};
use tito_core::keys;
use tito_core::{KeyText, Result, TitoEngine, TitoTransaction};
use uuid::Uuid;

use crate::queue::TitoQueue;

/// How many dead letters one transaction moves.
const STEP: usize = 200;

/// What was given up.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Where it is stored; pass it to [`TitoQueue::dead_letters`] to go on after it.
    pub key: KeyText,
    /// The event, with the failures that led here; `None` if the stored bytes are no event.
    pub event: Option<TitoEvent>,
    /// The stored bytes.
    pub bytes: Vec<u8>,
}

/// What a redrive did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redriven {
    /// Events that are due again, with all their attempts.
    pub events: u64,
    /// Dead letters whose bytes are no events; they stay where they are.
    pub skipped: u64,
}

impl<E: TitoEngine> TitoQueue<E> {
    /// Up to `limit` dead letters of a topic, by partition and then oldest first, after the one with the key `after`.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn dead_letters(
        &self,
        event_type: &str,
        limit: usize,
        after: Option<&KeyText>,
    ) -> Result<Vec<DeadLetter>> {
        let all = keys::dead_events(event_type);
        let range = after.map_or(all.clone(), |key| all.after(key.as_bytes()));
        let found = self.engine.transaction(|tx| async move { tx.scan(range, limit).await }).await?;
        let letter = |(key, bytes): (Vec<u8>, Vec<u8>)| DeadLetter {
            event: TitoEvent::decode(&key, &bytes).ok(),
            key: KeyText::from(key),
            bytes,
        };
        Ok(found.into_iter().map(letter).collect())
    }

    /// Makes one dead letter due again, with all its attempts. Returns whether it was there and is an event.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn redrive(&self, event_type: &str, id: Uuid) -> Result<bool> {
        Ok(self.redrive_where(event_type, |event| event.id == id).await?.events > 0)
    }

    /// Makes all dead letters of a topic due again, with all their attempts, in transactions of at most 200 each.
    ///
    /// # Errors
    /// Those of the engine; what was redriven by then stays redriven.
    pub async fn redrive_all(&self, event_type: &str) -> Result<Redriven> {
        self.redrive_where(event_type, |_| true).await
    }

    /// Deletes the dead letters of a topic for good, in transactions of 200 each, and returns how many there were.
    ///
    /// # Errors
    /// Those of the engine; what was deleted by then stays deleted.
    pub async fn purge_dead_letters(&self, event_type: &str) -> Result<u64> {
        let mut purged = 0;
        loop {
            let range = keys::dead_events(event_type);
            let step = self.engine.transaction(|tx| async move {
                let page = tx.scan(range, STEP).await?;
                for (key, _) in &page {
                    tx.delete(key.clone()).await?;
                }
                Ok(page.len())
            });
            let step = step.await?;
            purged += step as u64;
            if step < STEP {
                return Ok(purged);
            }
        }
    }

    async fn redrive_where(
        &self,
        event_type: &str,
        chosen: impl Fn(&TitoEvent) -> bool + Send + Sync,
    ) -> Result<Redriven> {
        let (name, _) = Topic::cached(&self.engine, event_type).await?;
        let (name, chosen) = (&name, &chosen);
        // What is moved is written again; half of what a transaction takes leaves room for keys and changes.
        let most_bytes = self.engine.limits().transaction_bytes / 2;
        let mut redriven = Redriven::default();
        let mut range = keys::dead_events(event_type);
        loop {
            let page_range = range.clone();
            let step = self.engine.transaction(|tx| async move {
                let page = tx.scan(page_range, STEP).await?;
                let is_full = page.len() == STEP;
                let mut step = Redriven::default();
                let (mut bytes, mut last) = (0, None);
                for (key, value) in page {
                    bytes += value.len();
                    if last.is_some() && bytes > most_bytes {
                        return Ok((last, step));
                    }
                    match TitoEvent::decode(&key, &value).ok().zip(keys::parse_event(&key)) {
                        None => step.skipped += 1,
                        Some((event, place)) if chosen(&event) => {
                            move_back(&tx, key.clone(), event, place.partition, name).await?;
                            step.events += 1;
                        }
                        Some(_) => {}
                    }
                    last = Some(key);
                }
                Ok((last.filter(|_| is_full), step))
            });
            let (last, step) = step.await?;
            redriven.events += step.events;
            redriven.skipped += step.skipped;
            match last {
                Some(last) => range = range.after(&last),
                None => return Ok(redriven),
            }
        }
    }
}

async fn move_back<T: TitoTransaction>(
    tx: &T,
    dead_key: Vec<u8>,
    mut event: TitoEvent,
    partition: u16,
    name: &Arc<str>,
) -> Result<()> {
    event.attempt = 0;
    event.timestamp = tx.start_timestamp().seconds();
    let key = keys::event(name, partition, event.timestamp, event.id);
    tx.delete(dead_key).await?;
    tx.put(key.clone(), event.encode()?).await?;
    tx.outbox().announce(Announcement { event_type: name.clone(), partition, key });
    Ok(())
}
