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

/// How many things one step deals with at most.
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
    /// How many steps of the application's were noted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) steps: u64,
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

/// Until when, in milliseconds, a worker leaves an operation alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// It is this worker's turn then, as its rate says.
    Rate(u64),
    /// Another has it.
    Other(u64),
}

/// What a step has done.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    pub(super) done: u64,
    pub(super) searched: u64,
    pub(super) skipped: u64,
    /// Where to go on; `None` at the end.
    pub(super) cursor: Option<Value>,
}

impl OperationRow {
    /// What is to be waited for before a worker steps it.
    pub(super) fn waits(&self, me: Uuid, now: Now) -> Option<Wait> {
        if self.is_from_later(now) {
            return None;
        }
        let is_held = self.stepper.is_some_and(|stepper| stepper != me);
        let held = if is_held { self.held_until_millis } else { 0 };
        match held.max(self.next_millis) {
            until if until <= now.millis() => None,
            until if is_held => Some(Wait::Other(until)),
            until => Some(Wait::Rate(until)),
        }
    }

    /// Whether time was set back since it was written. Its times are of no use then, and who held it begins anew.
    fn is_from_later(&self, now: Now) -> bool {
        self.changed_at > now.seconds()
    }

    pub(super) fn hold(&mut self, me: Uuid, now: Now) {
        if self.is_from_later(now) {
            self.next_millis = 0;
        }
        (self.stepper, self.held_until_millis) = (Some(me), now.millis().saturating_add(HELD_MILLIS));
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

    /// Notes what a step has done, and when the rate lets the next one begin, after so many.
    pub(super) fn note_at_rate(&mut self, progress: Progress, count: u64, now: Now) {
        if count > 0 {
            self.next_millis = self.slot_millis(count, now);
            // Whoever has it goes on with it then.
            self.held_until_millis = self.held_until_millis.max(self.next_millis.saturating_add(HELD_MILLIS));
        }
        self.note(progress, now);
    }

    /// Notes what a step has done.
    pub(super) fn note(&mut self, progress: Progress, now: Now) {
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
