//! An operation as it is stored.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tito_core::event::Rate;
use tito_core::row::{StoredRow, UnknownMembers};
use tito_core::{BoxError, Now, keeps_unknown_members};
use uuid::Uuid;

use super::info::OperationState;

/// How long a worker that steps an operation keeps others from trying, in milliseconds.
pub(super) const HELD_MILLIS: u64 = 10_000;

/// How many things one step deals with at the most.
const MOST_IN_A_STEP: u64 = 200;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct OperationRow {
    pub(super) who: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) why: String,
    /// A task. As it is written, as a later version may know others.
    pub(super) task: Box<RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<Rate>,
    pub(super) state: OperationState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<String>,
    /// How far it has come: the last key that was looked at, or what a named step has said; none at the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cursor: Option<Value>,
    /// How much was done, how much was looked at, and how much there was at least when it was begun.
    pub(super) done: u64,
    pub(super) searched: u64,
    pub(super) at_least: u64,
    /// Bytes that were no events, and what was passed over.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) skipped: u64,
    /// Unix seconds.
    pub(super) started_at: i64,
    /// The last second of what there was when it was begun, also where time was set back before.
    pub(super) latest: i64,
    pub(super) changed_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ended_at: Option<i64>,
    /// When the rate lets it go on, in milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) next_millis: u64,
    /// Who steps it, and until when others leave it alone, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stepper: Option<Uuid>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) held_until_millis: u64,
    #[serde(skip)]
    pub(super) unknown: UnknownMembers,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

keeps_unknown_members!(OperationRow);

impl StoredRow for OperationRow {
    const EXPECTED: &'static str = "an operation in JSON";

    fn check(&self) -> Result<(), BoxError> {
        Ok(())
    }
}

/// What a step has done.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) done: u64,
    pub(super) searched: u64,
    pub(super) skipped: u64,
    /// Where to go on; `None` at the end.
    pub(super) cursor: Option<Value>,
}

impl OperationRow {
    /// Until when another worker is to leave it alone.
    pub(super) fn waits_until(&self, me: Uuid, now: Now) -> Option<u64> {
        let is_held = self.stepper.is_some_and(|stepper| stepper != me);
        // What is further away than anybody holds it was written before time was set back.
        let held = self.held_until_millis.min(now.millis() + HELD_MILLIS);
        let until = if is_held { held.max(self.next_millis) } else { self.next_millis };
        (until > now.millis()).then_some(until)
    }

    pub(super) fn hold(&mut self, me: Uuid, now: Now) {
        (self.stepper, self.held_until_millis) = (Some(me), now.millis() + HELD_MILLIS);
        (self.state, self.changed_at) = (OperationState::Running, now.seconds());
    }

    /// Milliseconds, as a fraction, between one and the next, where there is a rate.
    fn interval(&self) -> Option<(u64, u64)> {
        self.rate.map(|rate| (rate.millis(), u64::from(rate.at_least_one())))
    }

    /// How many may be dealt with now, those of so many milliseconds.
    pub(super) fn room(&self, millis: u64) -> usize {
        let room = self.interval().map_or(MOST_IN_A_STEP, |(per, events)| events.saturating_mul(millis) / per);
        room.clamp(1, MOST_IN_A_STEP) as usize
    }

    /// When one is to be handled, as the number `nth` from now on.
    pub(super) fn slot_millis(&self, nth: u64, now: Now) -> u64 {
        let first = self.next_millis.max(now.millis());
        self.interval().map_or(first, |(per, events)| first.saturating_add(nth.saturating_mul(per) / events))
    }

    /// Notes what a step has done.
    pub(super) fn note(&mut self, progress: Progress, now: Now) {
        self.next_millis = match progress.done {
            0 => self.next_millis,
            done => self.slot_millis(done, now),
        };
        self.done += progress.done;
        self.searched += progress.searched;
        self.skipped += progress.skipped;
        self.changed_at = now.seconds();
        match progress.cursor {
            Some(cursor) => self.cursor = Some(cursor),
            None => self.end(OperationState::Done, None, now),
        }
    }

    pub(super) fn end(&mut self, state: OperationState, failure: Option<String>, now: Now) {
        (self.state, self.failure, self.ended_at) = (state, failure, Some(now.seconds()));
        (self.stepper, self.held_until_millis) = (None, 0);
        self.changed_at = now.seconds();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn values_are_read_and_written_again_as_the_page_of_the_format_says() {
        let page = include_str!("../../../docs/format.md");
        let vectors: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("operation_value ")).collect();
        assert!(vectors.len() >= 2);
        for value in vectors {
            let row = OperationRow::decode(b"!operation:a", value.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(row.encode().unwrap()).unwrap(), value);
        }
    }
}
