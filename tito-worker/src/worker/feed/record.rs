//! Records what becomes of an event that a feed has handed out.

use tito_core::event::{TitoEvent, Topic};
use tito_core::{Result, Transaction};

use super::{Fed, FeedEnded, FeedWatched};
use crate::fate::Fate;
use crate::keys;
use crate::moved::Moved;
use crate::observe::Failure;
use crate::place::{self, Old, Place};
use crate::worker::decide::{Decided, HandledBy, Rules, decide};
use crate::worker::report::WorkerReport;

/// What a transaction that records a feed's progress depends on.
pub struct FeedChecked {
    /// The topic as the transaction sees it.
    pub topic: Topic,
    /// Whether the feed is still this worker's.
    pub is_owned: bool,
    /// The additional rows requested.
    pub rows: Vec<Option<Vec<u8>>>,
}

/// What was recorded about an event.
pub struct FeedRecorded {
    fate: Fate,
    failure: Option<Box<Failure>>,
    /// Where it waits in the queue, if it does: partition, second and id.
    pub waits_at: Option<(u16, i64, uuid::Uuid)>,
}

impl Fed {
    /// Reads rows, and along with them what must be known before anything is recorded.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn check(&self, tx: &Transaction, rows: Vec<Vec<u8>>) -> Result<FeedChecked> {
        let checked = self.fence.read(tx, rows).await?;
        Ok(FeedChecked { topic: checked.topic, is_owned: checked.is_owned, rows: checked.rows })
    }

    /// Writes an event that wasn't done into the queue, according to the subscription: it is tried again, or is a dead
    /// letter.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn put(
        &self,
        tx: &Transaction,
        topic: &Topic,
        event: &TitoEvent,
        ended: &FeedEnded,
    ) -> Result<FeedRecorded> {
        let place = Place::of(event, topic);
        let row = event.encode()?;
        let Some(ended) = &ended.0 else {
            self.put_at(tx, place, row).await?;
            return Ok(FeedRecorded { fate: Fate::Released, failure: None, waits_at: waits_at(place) });
        };
        let Decided { fate, row, failure } = {
            let rules = Rules {
                policy: &self.runner.policy,
                topic,
                partition: place.partition,
                handled_by: HandledBy { worker: self.worker(), duration: None },
                id: &|| event.id,
                most_bytes: self.database().limits().value_bytes,
                now: tx.now(),
                random: fastrand::f64(),
            };
            decide(&place.key(self.queue()), row.into(), ended, &rules)?
        };
        // A log is its own history.
        let row = row.filter(|_| fate != Fate::Done);
        let waits_at = row.as_ref().and_then(|(place, _)| waits_at(*place));
        if let Some((place, row)) = row {
            self.put_at(tx, place, row).await?;
        }
        Ok(FeedRecorded { fate, failure, waits_at })
    }

    /// No earlier place of it is known to anyone.
    async fn put_at(&self, tx: &Transaction, place: Place, row: Vec<u8>) -> Result<()> {
        let key = place.key(self.queue());
        place::put(tx, self.queue(), place, row, Some(Old::found(tx, &key).await?)).await
    }

    /// The key of an event that waits in the queue.
    pub fn key_of(&self, (partition, second, id): (u16, i64, uuid::Uuid)) -> Vec<u8> {
        keys::event(self.queue(), partition, second, id)
    }

    /// Where events wait now that were moved from where they were put; `None` for those that no longer wait.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn moved(
        &self,
        tx: &Transaction,
        places: &[(u16, i64, uuid::Uuid)],
    ) -> Result<Vec<Option<(u16, i64, uuid::Uuid)>>> {
        let notes = places.iter().map(|(_, _, id)| keys::moved_event(self.queue(), *id)).collect();
        let notes = tx.batch_get(notes).await?;
        let place_of = |(note, (_, _, id)): (Option<Vec<u8>>, &(u16, i64, uuid::Uuid))| {
            let (partition, second) = Moved::read(tx.database(), self.queue(), *id, &note?)?;
            Some((partition, second, *id))
        };
        let mut moved: Vec<_> = notes.into_iter().zip(places).map(place_of).collect();
        let stored = tx.batch_get(moved.iter().flatten().map(|place| self.key_of(*place)).collect()).await?;
        let mut is_there = stored.into_iter().map(|stored| stored.is_some());
        for place in &mut moved {
            *place = place.filter(|_| is_there.next().unwrap_or(false));
        }
        Ok(moved)
    }

    /// Tells what was recorded about an event, and counts it.
    pub fn tell(&self, report: &mut WorkerReport, recorded: &FeedRecorded, watched: FeedWatched) {
        if let Some(failure) = &recorded.failure {
            self.runner.log(recorded.fate, failure);
        }
        watched.0.tell(recorded.fate, recorded.failure.as_deref().map(|failure| failure.error.as_str()));
        report.count(recorded.fate);
        if recorded.fate != Fate::Released {
            self.runner.observe.meters.handled_many(recorded.fate, 1);
        }
    }

    /// Tells that some events are recorded as done, and counts them.
    pub fn tell_done(&self, report: &mut WorkerReport, done: u64, watched: impl IntoIterator<Item = FeedWatched>) {
        report.done += done;
        self.runner.observe.meters.handled_many(Fate::Done, done);
        watched.into_iter().for_each(|one| one.0.tell(Fate::Done, None));
    }
}

fn waits_at(place: Place) -> Option<(u16, i64, uuid::Uuid)> {
    (place.kind == place::Kind::Pending).then_some((place.partition, place.second, place.id))
}
