//! What an event that has not been done waits for.

use serde::Serialize;
use tito_core::event::TitoEvent;

use crate::job::version_of;
use crate::keys;

/// What an event that has not been done waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PendingState {
    /// It is due: for a worker to take it, or for the handler that has it to end.
    Due,
    /// For its time.
    Scheduled,
    /// For its next attempt, after at least one that failed.
    Retrying,
    /// The stored bytes are not an event; a worker will move them to the dead letters.
    Malformed,
}

/// What is stored under `key`, if it is the event that its key says.
pub(crate) fn read_event(key: &[u8], bytes: &[u8]) -> Option<TitoEvent> {
    let event = TitoEvent::decode(key, bytes).ok()?;
    keys::parse_event(key).is_some_and(|place| place.id == event.id).then_some(event)
}

/// The version of an event's payload and the latest that its workers know, if it is a later one.
pub(crate) fn later_version(event: &TitoEvent, known: Option<u32>) -> Option<(u32, u32)> {
    // One whose version can't be read goes to the dead letters.
    let (version, known) = (version_of(event).ok()?, known?);
    (version > known).then_some((version, known))
}

impl PendingState {
    /// The state of what is stored under `key`, and when it is handed out at the earliest, in Unix seconds.
    pub(crate) fn of(key: &[u8], event: Option<&TitoEvent>, now: i64) -> (Self, i64) {
        let second = keys::parse_event_second(key).unwrap_or(0);
        let Some(event) = event else { return (Self::Malformed, second) };
        let due = second.max(event.not_before.unwrap_or(second));
        let state = match event.failed_attempts {
            _ if due <= now => Self::Due,
            0 => Self::Scheduled,
            _ => Self::Retrying,
        };
        (state, due)
    }
}
