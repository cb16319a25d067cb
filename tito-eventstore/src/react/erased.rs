//! What was erased of the events that a reactor has in memory.

use std::collections::BTreeSet;

use tito_core::row::StoredRow;
use tito_core::{Result as CoreResult, Transaction};

use super::feed::Reacting;
use crate::error::Result;
use crate::event::Event;
use crate::keys;
use crate::log::Head;

/// Events that were read and are not in the store any more.
pub(super) struct Gone {
    pub(super) sequences: BTreeSet<u64>,
    /// In how many transactions something of the store was erased by then.
    pub(super) erasures: u64,
}

impl Reacting {
    /// Reads which of some events were erased or dropped since they were read.
    pub(super) async fn gone(&self, sequences: Vec<u64>) -> Result<Gone> {
        let tx = self.store.database().begin().await?;
        let gone = self.gone_in(&tx, sequences).await;
        tx.rollback().await;
        Ok(gone?)
    }

    async fn gone_in(&self, tx: &Transaction, sequences: Vec<u64>) -> CoreResult<Gone> {
        let id = self.store.id();
        let mut keys = vec![keys::log_head(id)];
        keys.extend(sequences.iter().map(|sequence| keys::log_event(id, *sequence)));
        let mut stored = tx.batch_get(keys).await?.into_iter();
        let erasures = erasures_of(id, stored.next().flatten().as_deref())?;
        let is_gone = |(sequence, value): (u64, Option<Vec<u8>>)| {
            // One that can't be read any more was handed out as it was read.
            let is_there = value.is_some_and(|value| {
                !Event::decode(&keys::log_event(id, sequence), sequence, value).is_ok_and(|event| event.is_erased())
            });
            (!is_there).then_some(sequence)
        };
        Ok(Gone { sequences: sequences.into_iter().zip(stored).filter_map(is_gone).collect(), erasures })
    }
}

/// In how many transactions something was erased, as a store's head says; 0 of a store that is gone.
pub(super) fn erasures_of(store: u64, head: Option<&[u8]>) -> CoreResult<u64> {
    let head = head.map(|head| Head::decode(&keys::log_head(store), head)).transpose()?;
    Ok(head.map_or(0, |head| head.erasures))
}
