//! Where a reactor begins.

use chrono::{DateTime, TimeDelta, Utc};
use tito_core::Transaction;

use crate::error::Result;
use crate::read::read_head;
use crate::store::EventStore;

/// Where in the history of a store a reactor begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReactFrom {
    /// With the first event that the store still has.
    First,
    /// With the last event there is.
    Last,
    /// With events that are appended from now on.
    New,
    /// With the event of this sequence.
    Sequence(u64),
    /// With the first event that was appended at this time or later, by [`Event::recorded`](crate::Event::recorded) in
    /// milliseconds.
    Time(DateTime<Utc>),
}

impl ReactFrom {
    /// The sequence after which it begins.
    pub(super) async fn after(self, store: &EventStore, tx: &Transaction) -> Result<u64> {
        Ok(match self {
            Self::First => 0,
            Self::Last => read_head(store, tx).await?.last.saturating_sub(1),
            Self::New => read_head(store, tx).await?.last,
            Self::Sequence(sequence) => sequence.saturating_sub(1),
            Self::Time(time) => {
                let before = time.checked_sub_signed(TimeDelta::milliseconds(1)).unwrap_or(DateTime::<Utc>::MIN_UTC);
                store.sequence_at_in(tx, before).await?
            }
        })
    }
}
