//! A stored event is stored once more, in place of its old row or in addition to it: because it is postponed, redriven,
//! replayed, or copied for a group. This module says what each of these keeps of the event.

use std::sync::Arc;

use tito_core::event::{TitoEvent, Topic, started_at};
use tito_core::{Result, Transaction};

use crate::place::{self, Old, Place};

/// Why an event is stored again.
///
/// | why | its second | attempts | waits in its place | failures, progress |
/// |---|---|---|---|---|
/// | `Postponed` | the new one | stay | no | stay |
/// | `PostponedInPlace` | stays | stay | until the new one | stay |
/// | `Redriven` | stays, but not in the future | none | no | stay |
/// | `Replayed` | stays, but not in the future | none | no | none |
/// | `Copied` | stays; of one that a retry or a step has moved that of its publisher | none | no | none |
///
/// A replayed or copied event begins with its first step.
///
/// The record of how it was done goes. Everything else stays, including members that a later version of Tito has
/// stored. An event that only moves to another partition stays as it is, byte for byte.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Again {
    /// It is to be handled at another second.
    Postponed { to: i64 },
    /// It is to be handled at another second, and later ones of its entity are to wait for it.
    PostponedInPlace { until: i64 },
    /// It failed for good, and is to be handled again.
    Redriven { now: i64 },
    /// It was done, and is to be done again.
    Replayed { now: i64 },
    /// It was published before a group was there that is to have it too.
    Copied,
}

impl Again {
    /// What is stored of the event then.
    pub(crate) fn applied_to(self, mut event: TitoEvent) -> TitoEvent {
        let published_by = (started_at(event.id).physical_millis() / 1_000) as i64;
        // A failed event that has kept its place says when it may be tried again. Any other was moved by its retry.
        let is_moved = (event.failed_attempts > 0 || !event.steps.is_empty()) && event.not_before.is_none();
        event.timestamp = match self {
            Self::PostponedInPlace { .. } => event.timestamp,
            Self::Postponed { to } => to,
            Self::Redriven { now } | Self::Replayed { now } => event.timestamp.clamp(0, now),
            Self::Copied if is_moved => event.timestamp.min(published_by),
            Self::Copied => event.timestamp,
        };
        // Whatever is to be handled is not done.
        event.done = None;
        event.not_before = match self {
            Self::PostponedInPlace { until } => Some(until),
            _ => None,
        };
        if matches!(self, Self::Redriven { .. } | Self::Replayed { .. } | Self::Copied) {
            event.failed_attempts = 0;
            event.deaths = None;
        }
        if matches!(self, Self::Replayed { .. } | Self::Copied) {
            event.failures.clear();
            event.progress = None;
            if !event.steps.is_empty() {
                let first = event.steps.swap_remove(0);
                (event.payload, event.headers) = (first.payload, first.headers);
                event.steps.clear();
            }
        }
        event
    }
}

/// Stores an event that is to be handled where it belongs, in the place of the row under `instead_of` if there is one.
pub(crate) async fn put(
    tx: &Transaction,
    queue: &Arc<str>,
    topic: &Topic,
    event: &TitoEvent,
    instead_of: Option<Old<'_>>,
) -> Result<()> {
    place::put(tx, queue, Place::of(event, topic), event.encode()?, instead_of).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use tito_core::Timestamp;
    use tito_core::event::event_id;

    use super::*;

    fn event(second: i64, attempt: u32, not_before: Option<i64>, moved_by: i64) -> TitoEvent {
        let id = event_id(Timestamp::from_millis((second - moved_by).max(0) as u64 * 1_000), 1, 0);
        let text = format!(
            r#"{{"id":"{id}","type":"job","entity":"a","action":"b","timestamp":{second},"attempt":{attempt},
            "failures":[{{"attempt":1,"timestamp":1,"error":"no"}}],"progress":17,"later":1}}"#
        );
        TitoEvent { not_before, ..TitoEvent::decode(b"event", text.as_bytes()).unwrap() }
    }

    proptest! {
        #[test]
        fn an_event_that_is_stored_again_is_what_the_table_says(
            second in 1_000..2_000_i64,
            attempt in 0..9_u32,
            not_before in proptest::option::of(0..9_999_i64),
            moved_by in 0..1_000_i64,
            at in 0..3_000_i64,
        ) {
            let stored = event(second, attempt, not_before, moved_by);
            let kept = |again: Again| {
                let now = again.applied_to(stored.clone());
                assert_eq!((now.id, &now.entity, &now.unknown), (stored.id, &stored.entity, &stored.unknown));
                (now.timestamp, now.failed_attempts, now.not_before, now.failures.len(), now.progress.is_some())
            };
            let copied = if attempt > 0 && not_before.is_none() { second - moved_by } else { second };
            prop_assert_eq!(kept(Again::Postponed { to: at }), (at, attempt, None, 1, true));
            prop_assert_eq!(kept(Again::PostponedInPlace { until: at }), (second, attempt, Some(at), 1, true));
            prop_assert_eq!(kept(Again::Redriven { now: at }), (second.min(at), 0, None, 1, true));
            prop_assert_eq!(kept(Again::Replayed { now: at }), (second.min(at), 0, None, 0, false));
            prop_assert_eq!(kept(Again::Copied), (copied, 0, None, 0, false));
        }
    }
}
