//! What becomes of events, written in the transaction that acknowledges them.

use tito_core::event::Topic;
use tito_core::{Database, Result, Transaction};

use super::decide::{Decided, Ended, Rules, decide};
use super::lanes::Entity;
use super::low_watermark::LowWatermark;
use super::runner::{Origin, Runner};
use crate::fate::Fate;
use crate::observe::{Failure, Watched};
use crate::place;

/// An event whose fate waits to be recorded.
pub(super) struct Unrecorded {
    pub(super) key: Vec<u8>,
    pub(super) entity: Entity,
    pub(super) ended: Ended,
    pub(super) watched: Watched,
    /// Whether the entity's later events wait for it to be recorded.
    pub(super) awaits_recording: bool,
}

impl Unrecorded {
    /// For an event that is kept from handlers.
    pub(super) fn malformed(key: Vec<u8>, ended: Ended) -> Self {
        Self { key, entity: 0, ended, watched: Watched::default(), awaits_recording: false }
    }
}

/// What was recorded of an event.
pub(super) struct Recorded {
    pub(super) fate: Fate,
    /// If it failed, for good or not.
    pub(super) failure: Option<Box<Failure>>,
}

impl Recorded {
    /// It was gone.
    pub(super) const ELSEWHERE: Self = Self { fate: Fate::Elsewhere, failure: None };

    /// Why it failed, for good or not.
    pub(super) fn error(&self) -> Option<&str> {
        self.failure.as_deref().map(|failure| failure.error.as_str())
    }
}

/// What a recording came to.
pub(super) struct RecordedBatch {
    pub(super) events: Vec<Recorded>,
    /// Whether the partition is still this worker's.
    pub(super) is_owned: bool,
    /// The topic's revision by then.
    pub(super) revision: u64,
}

/// Records what becomes of many events of one partition in one transaction, and the checkpoint if one is given. It reads
/// and deletes the events' own keys, so of two workers that record the same event one meets a conflict and then finds it
/// gone.
///
/// A worker that has lost the partition still records what its handlers have done, which nobody has to do again then.
pub(super) async fn record_all(
    database: &Database,
    runner: &Runner,
    origin: &Origin,
    batch: &[Unrecorded],
    floor: Option<i64>,
) -> Result<RecordedBatch> {
    database
        .transaction(|tx| async move {
            let keys = batch.iter().map(|unrecorded| unrecorded.key.clone()).collect();
            let checked = origin.fence.read(&tx, keys).await?;
            let mut events = Vec::with_capacity(batch.len());
            for (Unrecorded { key, ended, .. }, stored) in batch.iter().zip(checked.events) {
                events.push(match stored {
                    None => Recorded::ELSEWHERE,
                    Some(stored) => record(&tx, runner, &checked.topic, origin.partition, key, stored, ended).await?,
                });
            }
            if let Some(floor) = floor.filter(|_| checked.is_owned) {
                LowWatermark::write(&tx, &runner.queue, origin.partition, floor).await?;
            }
            Ok(RecordedBatch { events, is_owned: checked.is_owned, revision: checked.topic.revision })
        })
        .await
}

/// Decides and records what becomes of the event that is stored under `key`.
pub(super) async fn record(
    tx: &Transaction,
    runner: &Runner,
    topic: &Topic,
    partition: u16,
    key: &[u8],
    stored: Vec<u8>,
    ended: &Ended,
) -> Result<Recorded> {
    let Decided { fate, row, failure } = {
        let rules = Rules {
            policy: &runner.policy,
            topic,
            partition,
            id: &|| place::id_of(tx, key),
            most_bytes: runner.database.limits().value_bytes,
            now: tx.now(),
            random: fastrand::f64(),
        };
        decide(key, stored, ended, &rules)?
    };
    match row {
        Some((place, row)) => place::put(tx, &runner.queue, place, row, Some(key)).await?,
        None => tx.system_keys().delete(key.to_vec()).await?,
    }
    Ok(Recorded { fate, failure })
}
