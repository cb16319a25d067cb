//! Outcomes, written in the transaction that acknowledges their events.

use std::sync::Arc;
use std::time::Duration;

use tito_core::event::{FailedAttempt, TitoEvent, Topic, event_id};
use tito_core::row::UnknownMembers;
use tito_core::{Database, Result, Transaction, keys};

use super::checkpoint::Checkpoint;
use super::lanes::Entity;
use super::report::WorkerReport;
use super::runner::{Origin, Runner};
use crate::again::{self, Again};
use crate::policy::Exhausted;

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
    /// The engine has failed and not the handler: to be handled again in the next second.
    TryAgain,
    Dead {
        error: String,
    },
    /// The stored bytes are no event.
    Malformed,
    /// It lies in a partition that it no longer belongs to.
    Misplaced,
}

/// What has become of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    Done,
    Retried,
    Rescheduled,
    Dead,
    Discarded,
    Malformed,
    Moved,
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
            Self::Discarded => &mut report.discarded,
            Self::Malformed => &mut report.malformed,
            Self::Moved => &mut report.moved,
            Self::Elsewhere => &mut report.elsewhere,
        };
        *counter += 1;
    }

    /// Whether the event is stored again, to be handled later.
    pub(super) fn is_put_again(self) -> bool {
        matches!(self, Self::Retried | Self::Rescheduled)
    }
}

/// An outcome that waits for its acknowledgement.
#[derive(Clone)]
pub(super) struct Unrecorded {
    pub(super) key: Vec<u8>,
    pub(super) entity: Entity,
    pub(super) disposition: Disposition,
    /// Whether the entity's later events wait for it to be recorded.
    pub(super) is_suspended: bool,
}

impl Unrecorded {
    /// For an event that is kept from handlers.
    pub(super) fn set_aside(key: Vec<u8>, disposition: Disposition) -> Self {
        Self { key, entity: 0, disposition, is_suspended: false }
    }
}

/// What a recording came to.
pub(super) struct RecordedBatch {
    pub(super) recorded: Vec<Recorded>,
    /// Whether the partition is still this worker's.
    pub(super) is_owned: bool,
    /// The topic's revision by then.
    pub(super) revision: u64,
}

/// Records many outcomes of one partition in one transaction, and the checkpoint if one is given. It reads and deletes
/// the events' own keys, so of two workers that record the same event one meets a conflict and then finds it gone.
///
/// A worker that has lost the partition still records what its handlers have done, which nobody has to do again then.
pub(super) async fn record_all(
    engine: &Database,
    runner: &Runner,
    origin: &Origin,
    batch: &Arc<Vec<Unrecorded>>,
    floor: Option<i64>,
) -> Result<RecordedBatch> {
    engine
        .transaction(|tx| async move {
            let keys = batch.iter().map(|unrecorded| unrecorded.key.clone()).collect();
            let checked = origin.fence.read(&tx, keys).await?;
            let mut recorded = Vec::with_capacity(batch.len());
            for (unrecorded, stored) in batch.iter().zip(checked.events) {
                recorded.push(match stored {
                    None => Recorded::Elsewhere,
                    Some(stored) => {
                        let (partition, disposition) = (origin.partition, &unrecorded.disposition);
                        record(&tx, runner, &checked.topic, partition, &unrecorded.key, stored, disposition).await?
                    }
                });
            }
            if let Some(floor) = floor.filter(|_| checked.is_owned) {
                Checkpoint::write(&tx, &runner.queue, origin.partition, floor).await?;
            }
            Ok(RecordedBatch { recorded, is_owned: checked.is_owned, revision: checked.topic.revision })
        })
        .await
}

/// Records one outcome of the event that is stored under `key`.
pub(super) async fn record(
    tx: &Transaction,
    runner: &Runner,
    topic: &Topic,
    partition: u16,
    key: &[u8],
    stored: Vec<u8>,
    disposition: &Disposition,
) -> Result<Recorded> {
    if let Disposition::Done = disposition {
        tx.delete(key.to_vec()).await?;
        if topic.history_seconds > 0
            && let Some(place) = keys::parse_event(key)
        {
            let seconds = tx.start_timestamp().seconds();
            tx.put(keys::done_event(&runner.queue, partition, seconds, place.id), stored).await?;
        }
        return Ok(Recorded::Done);
    }
    let event = TitoEvent::decode(key, &stored).ok().filter(|_| !matches!(disposition, Disposition::Malformed));
    let Some(event) = event else {
        bury(tx, runner, partition, key, stored).await?;
        return Ok(Recorded::Malformed);
    };
    // The subscription lags behind the engine's time by its delay, and so do the times that it is given.
    let due_after = |delay| tx.start_timestamp().seconds_after(delay).saturating_sub(runner.delay_seconds).max(0);
    match disposition {
        Disposition::Done | Disposition::Malformed => Ok(Recorded::Malformed),
        Disposition::Misplaced => {
            let event = Again::Misplaced.applied_to(event);
            again::put_instead(tx, &runner.queue, topic, key, &event).await?;
            Ok(Recorded::Moved)
        }
        Disposition::Reschedule { seconds } => {
            let seconds = seconds.saturating_sub(runner.delay_seconds).max(due_after(Duration::ZERO));
            put_off(tx, runner, topic, key, event, seconds).await?;
            Ok(Recorded::Rescheduled)
        }
        Disposition::TryAgain => {
            let seconds = tx.start_timestamp().seconds().saturating_add(1).saturating_sub(runner.delay_seconds).max(0);
            put_off(tx, runner, topic, key, event, seconds).await?;
            Ok(Recorded::Rescheduled)
        }
        Disposition::Dead { error } => {
            let event = with_failure(event, tx.start_timestamp().seconds(), error);
            give_up(tx, runner, partition, key, &event, stored).await
        }
        Disposition::Retry { delay, error } => {
            let event = with_failure(event, tx.start_timestamp().seconds(), error);
            if runner.retry.is_exhausted(event.attempt) {
                if runner.exhausted == Exhausted::Discard {
                    tx.delete(key.to_vec()).await?;
                    return Ok(Recorded::Discarded);
                }
                return give_up(tx, runner, partition, key, &event, stored).await;
            }
            let delay = delay.unwrap_or_else(|| runner.retry.delay(event.attempt, fastrand::f64()));
            if event.encode()?.len() > runner.limits().value_bytes {
                return give_up(tx, runner, partition, key, &event, stored).await;
            }
            put_off(tx, runner, topic, key, event, due_after(delay)).await?;
            Ok(Recorded::Retried)
        }
    }
}

fn with_failure(mut event: TitoEvent, seconds: i64, error: &str) -> TitoEvent {
    event.attempt = event.attempt.saturating_add(1);
    let (attempt, unknown) = (event.attempt, UnknownMembers::default());
    event.failures.push(FailedAttempt { attempt, timestamp: seconds, error: error.to_string(), unknown });
    let surplus = event.failures.len().saturating_sub(FAILURES_KEPT);
    event.failures.drain(..surplus);
    event
}

/// Stores an event to be handled again at a second: in its place where the order is strict, so that it stays before the
/// later ones of its entity, else at that second.
async fn put_off(
    tx: &Transaction,
    runner: &Runner,
    topic: &Topic,
    key: &[u8],
    event: TitoEvent,
    seconds: i64,
) -> Result<()> {
    let seconds = seconds.min(keys::MAX_EVENT_SECONDS);
    let why = if runner.is_strict() { Again::PutOffInPlace { until: seconds } } else { Again::PutOff { to: seconds } };
    again::put_instead(tx, &runner.queue, topic, key, &why.applied_to(event)).await
}

/// Puts an event among the dead letters.
async fn give_up(
    tx: &Transaction,
    runner: &Runner,
    partition: u16,
    key: &[u8],
    event: &TitoEvent,
    stored: Vec<u8>,
) -> Result<Recorded> {
    let value = event.encode()?;
    // With no room for the failure the event is kept as it was stored.
    let kept = if value.len() > runner.limits().value_bytes { stored } else { value };
    bury(tx, runner, partition, key, kept).await?;
    Ok(Recorded::Dead)
}

/// Puts bytes among the dead letters, under the id of the event that they were stored as.
async fn bury(tx: &Transaction, runner: &Runner, partition: u16, key: &[u8], bytes: Vec<u8>) -> Result<()> {
    tx.delete(key.to_vec()).await?;
    let now = tx.start_timestamp();
    let id = keys::parse_event(key).map(|place| place.id);
    let id = id.unwrap_or_else(|| event_id(now, tx.next_event_number(), fastrand::u64(..)));
    tx.put(keys::dead_event(&runner.queue, partition, now.seconds(), id), bytes).await
}
