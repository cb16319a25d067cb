//! Outcomes, written in the transaction that acknowledges their events.

use std::sync::Arc;

use serde::Serialize;
use tito_core::engine::Announcement;
use tito_core::event::{FailedAttempt, TitoEvent, event_id};
use tito_core::{Result, TitoEngine, TitoError, TitoTransaction, keys};

use super::report::WorkerReport;
use super::runner::Runner;

/// How many failures an event remembers.
const FAILURES_KEPT: usize = 5;

/// What is to become of an event.
#[derive(Clone, Debug)]
pub(super) enum Disposition {
    Done,
    /// The attempt has failed.
    Retry {
        delay: Option<std::time::Duration>,
        error: String,
    },
    Reschedule {
        seconds: i64,
    },
    Dead {
        error: String,
    },
    /// The stored bytes are no event.
    Malformed,
}

/// What has become of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    Done,
    Retried,
    Rescheduled,
    Dead,
    Malformed,
    /// The event was gone: another worker recorded an outcome first.
    Elsewhere,
}

impl Recorded {
    pub(super) fn count(self, report: &mut WorkerReport) {
        let counter = match self {
            Self::Done => &mut report.done,
            Self::Retried => &mut report.retried,
            Self::Rescheduled => &mut report.rescheduled,
            Self::Dead => &mut report.dead,
            Self::Malformed => &mut report.malformed,
            Self::Elsewhere => &mut report.elsewhere,
        };
        *counter += 1;
    }
}

/// An outcome that waits for its acknowledgement.
#[derive(Clone)]
pub(super) struct Unrecorded {
    pub(super) key: Vec<u8>,
    pub(super) disposition: Disposition,
}

/// Where scans of a partition may begin.
#[derive(Serialize)]
struct Checkpoint {
    floor: i64,
}

/// Records many outcomes of one partition in one transaction, and the checkpoint if one is given. It reads and deletes
/// the events' own keys, so of two workers that record the same event one meets a conflict and then finds it gone.
pub(super) async fn record_all<E: TitoEngine>(
    engine: &E,
    runner: &Runner<E>,
    partition: u16,
    batch: &Arc<Vec<Unrecorded>>,
    floor: Option<i64>,
) -> Result<Vec<Recorded>> {
    engine
        .transaction(|tx| async move {
            let stored = tx.batch_get(batch.iter().map(|unrecorded| unrecorded.key.clone()).collect()).await?;
            let mut all = Vec::with_capacity(batch.len());
            for (unrecorded, stored) in batch.iter().zip(stored) {
                all.push(match stored {
                    None => Recorded::Elsewhere,
                    Some(stored) => {
                        record(&tx, runner, partition, &unrecorded.key, stored, &unrecorded.disposition).await?
                    }
                });
            }
            if let Some(floor) = floor {
                let value = serde_json::to_vec(&Checkpoint { floor })
                    .map_err(|source| TitoError::Unserializable { what: "a checkpoint".to_string(), source })?;
                tx.put(keys::checkpoint(&runner.event_type, partition), value).await?;
            }
            Ok(all)
        })
        .await
}

/// Records one outcome of the event that is stored under `key`.
pub(super) async fn record<E: TitoEngine>(
    tx: &E::Transaction,
    runner: &Runner<E>,
    partition: u16,
    key: &[u8],
    stored: Vec<u8>,
    disposition: &Disposition,
) -> Result<Recorded> {
    tx.delete(key.to_vec()).await?;
    let now = tx.start_timestamp();
    let event = || TitoEvent::decode(key, &stored).ok();
    let next = match disposition {
        Disposition::Done => return Ok(Recorded::Done),
        Disposition::Malformed => None,
        Disposition::Reschedule { seconds } => event().map(|event| (event, (*seconds).max(now.seconds()), None, false)),
        Disposition::Dead { error } => event().map(|event| (event, now.seconds(), Some(error), true)),
        Disposition::Retry { delay, error } => event().map(|event| {
            let failures = event.attempt.saturating_add(1);
            let delay = delay.unwrap_or_else(|| runner.retry.delay(failures, fastrand::f64()));
            (event, now.seconds_after(delay), Some(error), runner.retry.is_exhausted(failures))
        }),
    };
    let Some((mut event, due, error, is_dead)) = next else {
        bury(tx, runner, partition, key, stored).await?;
        return Ok(Recorded::Malformed);
    };
    if let Some(error) = error {
        event.attempt = event.attempt.saturating_add(1);
        let failure = FailedAttempt { attempt: event.attempt, timestamp: now.seconds(), error: error.clone() };
        event.failures.push(failure);
        let surplus = event.failures.len().saturating_sub(FAILURES_KEPT);
        event.failures.drain(..surplus);
    }
    event.timestamp = if is_dead { now.seconds() } else { due.min(keys::MAX_EVENT_SECONDS) };
    let value = event.encode()?;
    if is_dead || value.len() > runner.limits().value_bytes {
        // With no room for the failure the event is kept as it was stored.
        let kept = if value.len() > runner.limits().value_bytes { stored } else { value };
        bury(tx, runner, partition, key, kept).await?;
        return Ok(Recorded::Dead);
    }
    let next_key = keys::event(&runner.event_type, partition, event.timestamp, event.id);
    tx.put(next_key.clone(), value).await?;
    tx.outbox().announce(Announcement { event_type: runner.event_type.clone(), partition, key: next_key });
    Ok(if error.is_some() { Recorded::Retried } else { Recorded::Rescheduled })
}

/// Puts bytes among the dead letters, under the id of the event that they were stored as.
async fn bury<E: TitoEngine>(
    tx: &E::Transaction,
    runner: &Runner<E>,
    partition: u16,
    key: &[u8],
    bytes: Vec<u8>,
) -> Result<()> {
    let now = tx.start_timestamp();
    let id = keys::parse_event(key).map(|place| place.id);
    let id = id.unwrap_or_else(|| event_id(now, tx.outbox().next_event_number(), fastrand::u64(..)));
    tx.put(keys::dead_event(&runner.event_type, partition, now.seconds(), id), bytes).await
}
