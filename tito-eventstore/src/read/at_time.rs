//! What a store had at a point in time.

use chrono::{DateTime, Utc};
use tito_core::Transaction;
use tito_core::row::StoredRow;

use super::cursor::read_head;
use crate::error::Result;
use crate::event::Event;
use crate::keys;
use crate::log::Tail;
use crate::store::EventStore;

impl EventStore {
    /// The sequence of the last event that was appended at a time or before; 0 if there is none, or it was dropped. Use
    /// it to fold a model or begin a stream as of that time. Costs a read for each doubling of the number of events.
    ///
    /// What counts is when an event was appended, [`Event::recorded`], by the engine's time: these times ascend with
    /// the sequences, while [`Event::time`] is whatever its publisher said.
    ///
    /// ```
    /// # use chrono::{DateTime, Utc};
    /// # use tito_core::prelude::*;
    /// # use tito_eventstore::{EventStore, EventStoreError, Evolver, Select};
    /// # async fn example<M: Evolver + Send>(bank: EventStore, mut account: M, midnight: DateTime<Utc>) -> Result<(), EventStoreError> {
    /// let sequence = bank.sequence_at(midnight).await?;
    /// bank.evolve(&mut account, Select::filter("account.17").up_to(sequence)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`StoreNotFound`](crate::EventStoreError::StoreNotFound), that of a damaged event on the way, and those of the
    /// engine.
    pub async fn sequence_at(&self, time: DateTime<Utc>) -> Result<u64> {
        let tx = self.database().begin().await?;
        let found = self.sequence_at_in(&tx, time).await;
        tx.rollback().await;
        found
    }

    pub(crate) async fn sequence_at_in(&self, tx: &Transaction, time: DateTime<Utc>) -> Result<u64> {
        let Ok(millis) = u64::try_from(time.timestamp_millis()) else { return Ok(0) };
        let head = read_head(self, tx).await?;
        let tail_key = keys::log_tail(self.id());
        let tail = tx.get(&tail_key).await?.map(|tail| Tail::decode(&tail_key, &tail)).transpose()?;
        // All up to `at` are not later than the time, all after `end` are. Those that were dropped have no time any more.
        let (dropped, mut end) = (tail.map_or(0, |tail| tail.dropped), head.last);
        let mut at = dropped;
        while at < end {
            let middle = at + (end - at).div_ceil(2);
            let key = keys::log_event(self.id(), middle);
            let Some(value) = tx.get(&key).await? else { return Ok(at) };
            if Event::decode(&key, middle, value)?.recorded().physical_millis() <= millis {
                at = middle;
            } else {
                end = middle - 1;
            }
        }
        Ok(if at == dropped { 0 } else { at })
    }
}
