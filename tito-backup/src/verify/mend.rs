//! What can be put right by a rule.

use tito_core::{Database, Transaction};

use crate::error::Result;

/// A rule, with what it needs. It is about the key of its finding.
#[derive(Clone)]
pub(super) enum Mend {
    /// The entry of an index is deleted if its row is still not there.
    DeleteEntry { row: Vec<u8> },
    /// A row that is written anew by whom it tells of is deleted if it still has this value.
    DeleteMalformed { value: Vec<u8> },
    /// An event is moved where those of its entity lie, with a note of that.
    Move { to: Vec<u8>, note: Vec<u8>, partition: u16, second: i64 },
    /// What is kept beside an event is written if the event is still there, and it is not.
    PutBeside { event: Vec<u8>, value: Vec<u8> },
}

impl Mend {
    /// Whether something was changed.
    pub(super) async fn apply(self, database: &Database, key: &[u8]) -> Result<bool> {
        let key = key.to_vec();
        let mended = database.transaction(|tx| async move { self.apply_in(&tx, key).await });
        Ok(Box::pin(mended).await?)
    }

    async fn apply_in(self, tx: &Transaction, key: Vec<u8>) -> tito_core::Result<bool> {
        let found = tx.get(&key).await?;
        match self {
            Self::DeleteEntry { row } => {
                if found.is_none() || tx.get(&row).await?.is_some() {
                    return Ok(false);
                }
                tx.system_keys().delete(key).await?;
            }
            Self::DeleteMalformed { value } => {
                if found != Some(value) {
                    return Ok(false);
                }
                tx.system_keys().delete(key).await?;
            }
            Self::Move { to, note, partition, second } => {
                let Some(value) = found else { return Ok(false) };
                if tx.get(&to).await?.is_some() {
                    return Ok(false);
                }
                tx.system_keys().delete(key).await?;
                tx.system_keys().put(to, value).await?;
                let moved = format!("{{\"partition\":{partition},\"second\":{second}}}");
                tx.system_keys().put(note, moved.into_bytes()).await?;
            }
            Self::PutBeside { event, value } => {
                if found.is_some() || tx.get(&event).await?.is_none() {
                    return Ok(false);
                }
                // Who drops the event at the same time writes it too.
                tx.lock_keys(vec![event]).await?;
                tx.system_keys().put(key, value).await?;
            }
        }
        Ok(true)
    }
}
