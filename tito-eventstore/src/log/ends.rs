//! The two ends of a store.

use serde::{Deserialize, Serialize};
use tito_core::row::{StoredRow, UnknownMembers, malformed};
use tito_core::{Result, keeps_unknown_members};

use crate::keys;

/// The end of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The last sequence; 0 before the first event.
    pub(crate) last: u64,
    /// The bytes of all events that were ever appended, of those that were erased what is stored in their places.
    pub(crate) bytes: u64,
    /// The bytes of the largest of them.
    #[serde(default)]
    pub(crate) largest: u64,
    /// In how many transactions something of the store was erased.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) erasures: u64,
    #[serde(skip)]
    pub(crate) unknown: UnknownMembers,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

keeps_unknown_members!(Head);

impl StoredRow for Head {
    const EXPECTED: &'static str = "the head of an event store";
}

/// The beginning of a store: what was dropped of it. Apart from its head, so that dropping is in no append's way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tail {
    /// The last sequence that was dropped; 0 if none was.
    pub(crate) dropped: u64,
    /// The bytes of all events that were dropped.
    pub(crate) bytes: u64,
    /// Of all events after this one that were dropped, it is noted what they were of. None are if it is not there: a
    /// program that does not note it writes no such number either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) noted_after: Option<u64>,
    #[serde(skip)]
    pub(crate) unknown: UnknownMembers,
}

keeps_unknown_members!(Tail);

impl StoredRow for Tail {
    const EXPECTED: &'static str = "the tail of an event store";
}

/// What there is between the ends of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

impl Kept {
    /// # Errors
    /// [`TitoError::Malformed`](tito_core::TitoError::Malformed) if more was dropped than was ever appended.
    pub(crate) fn between(store: u64, tail: &Tail, head: &Head) -> Result<Self> {
        let events = head.last.checked_sub(tail.dropped);
        let kept = events.zip(head.bytes.checked_sub(tail.bytes));
        let more = || malformed(&keys::log_tail(store), Tail::EXPECTED, "more was dropped than was ever appended");
        kept.map(|(events, bytes)| Self { events, bytes }).ok_or_else(more)
    }
}
