//! Writes what becomes of events, in the transaction that acknowledges them.

use std::borrow::Cow;

use tito_core::engine::SnapshotVersion;
use tito_core::event::Topic;
use tito_core::{Database, Result, Transaction};

use super::decide::{Decided, Ended, HandledBy, Rules, decide};
use super::lanes::Entity;
use super::low_watermark::LowWatermark;
use super::runner::{Origin, Runner};
use crate::fate::Fate;
use crate::observe::{Failure, Watched};
use crate::place::{self, Old};
use crate::same_attempt::are_same_attempt;

/// An event whose fate waits to be recorded.
pub(super) struct Unrecorded {
    pub(super) key: Vec<u8>,
    /// The event as it was handed out.
    pub(super) handed_out: Vec<u8>,
    /// Of the transaction that read it.
    pub(super) version: Option<SnapshotVersion>,
    pub(super) entity: Entity,
    pub(super) ended: Ended,
    pub(super) watched: Watched,
    /// Whether the entity's later events wait until it is recorded.
    pub(super) awaits_recording: bool,
}

impl Unrecorded {
    /// For an event that is kept from handlers.
    pub(super) fn malformed(key: Vec<u8>, handed_out: Vec<u8>, ended: Ended) -> Self {
        Self { key, handed_out, version: None, entity: 0, ended, watched: Watched::default(), awaits_recording: false }
    }
}

/// What was recorded about an event.
pub(super) struct Recorded {
    pub(super) fate: Fate,
    /// If it failed, for good or not.
    pub(super) failure: Option<Box<Failure>>,
    /// Whether it still has to be handled, later or from another step on.
    pub(super) remains: bool,
}

impl Recorded {
    /// It was gone.
    pub(super) const ELSEWHERE: Self = Self { fate: Fate::Elsewhere, failure: None, remains: false };

    /// Another worker has continued with it.
    pub(super) const CHANGED: Self = Self { remains: true, ..Self::ELSEWHERE };

    /// Why it failed, for good or not.
    pub(super) fn error(&self) -> Option<&str> {
        self.failure.as_deref().map(|failure| failure.error.as_str())
    }
}

/// The result of a recording.
pub(super) struct RecordedBatch {
    pub(super) events: Vec<Recorded>,
    /// Whether the partition is still this worker's.
    pub(super) is_owned: bool,
    /// The topic's revision at that time.
    pub(super) revision: u64,
}

/// Records what becomes of many events of one partition in one transaction, and the checkpoint if given. It goes by
/// how the events are stored in its snapshot, and writes their own keys. So if two workers record the same event, one
/// meets a conflict and then finds the event gone, or at another step or attempt, about which its handler's result says
/// nothing.
///
/// A worker that has lost the partition still records what its handlers have done, so that nobody has to do it again.
pub(super) async fn record_all(
    database: &Database,
    runner: &Runner,
    origin: &Origin,
    batch: &[Unrecorded],
    floor: Option<i64>,
) -> Result<RecordedBatch> {
    database
        .transaction(|tx| async move {
            let handed_out = batch.iter().map(|one| (one.key.as_slice(), one.handed_out.as_slice(), one.version));
            let checked = origin.fence.check(&tx, handed_out.collect()).await?;
            let mut events = Vec::with_capacity(batch.len());
            let recording = Recording { tx: &tx, runner, topic: &checked.topic, partition: origin.partition };
            for (Unrecorded { key, handed_out, ended, watched, .. }, stored) in batch.iter().zip(checked.rows) {
                let handled_by = HandledBy { worker: origin.worker(), duration: watched.duration() };
                events.push(match stored {
                    None => Recorded::ELSEWHERE,
                    Some(Cow::Owned(stored)) if !are_same_attempt(key, handed_out, &stored) => Recorded::CHANGED,
                    Some(stored) => recording.record(key, stored, ended, handled_by).await?,
                });
            }
            if let Some(floor) = floor.filter(|_| checked.is_owned) {
                LowWatermark::write(&tx, &runner.queue, origin.partition, floor).await?;
            }
            Ok(RecordedBatch { events, is_owned: checked.is_owned, revision: checked.topic.revision })
        })
        .await
}

/// What the recording of events needs.
pub(super) struct Recording<'a> {
    pub(super) tx: &'a Transaction,
    pub(super) runner: &'a Runner,
    /// As the transaction sees it.
    pub(super) topic: &'a Topic,
    pub(super) partition: u16,
}

impl Recording<'_> {
    /// Decides and records what becomes of the event stored under `key`.
    pub(super) async fn record(
        &self,
        key: &[u8],
        stored: Cow<'_, [u8]>,
        ended: &Ended,
        handled_by: HandledBy,
    ) -> Result<Recorded> {
        let Self { tx, runner, topic, partition } = *self;
        let old = Old::row(key, &stored);
        let Decided { fate, row, failure } = {
            let rules = Rules {
                policy: &runner.policy,
                topic,
                partition,
                handled_by,
                id: &|| place::id_of(tx, key),
                most_bytes: runner.database.limits().value_bytes,
                now: tx.now(),
                random: fastrand::f64(),
            };
            decide(key, stored, ended, &rules)?
        };
        match row {
            Some((place, row)) => place::put(tx, &runner.queue, place, row, Some(old)).await?,
            None => old.delete(tx).await?,
        }
        Ok(Recorded { fate, failure, remains: fate.is_postponed() })
    }
}
