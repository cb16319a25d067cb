//! What can be put right by a rule.

use tito_core::event::{Topic, delete_pending, due_second, topic_of};
use tito_core::keys::EventPlace;
use tito_core::{Database, Transaction};
use xxhash_rust::xxh3::xxh3_128;

use crate::error::Result;
use crate::keys;

/// A rule, with what it needs. It is about the key of its finding.
#[derive(Clone)]
pub(super) enum Mend {
    /// The entry of an index is deleted if it still has this value and its row is still not there.
    DeleteEntry { value: Vec<u8>, row: Vec<u8> },
    /// A row that is written anew by whom it tells of is deleted if it still has this value.
    DeleteMalformed { value: Vec<u8> },
    /// A snapshot of a model is deleted if it still is the one of this sequence.
    DeleteSnapshot { sequence: u64 },
    /// An event is moved where those of its entity lie by now, with a note of that.
    Move { place: EventPlace, entity: String },
    /// What is kept beside an event is written if the event is still the one of this hash, and it is not there.
    PutBeside { event: Vec<u8>, event_hash: u128, value: Vec<u8> },
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
            Self::DeleteEntry { value, row } => {
                // A unique one may have become another row's.
                if found != Some(value) || tx.get(&row).await?.is_some() {
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
            Self::DeleteSnapshot { sequence } => {
                if !found.is_some_and(|value| value.starts_with(&sequence.to_le_bytes())) {
                    return Ok(false);
                }
                tx.system_keys().delete(key).await?;
            }
            Self::Move { place, entity } => {
                let Some(value) = found else { return Ok(false) };
                let EventPlace { queue, partition: from, seconds, id } = place;
                let (topic_name, _) = topic_of(&queue);
                let topic = Topic::read(tx, topic_name).await?;
                let partition = topic.partition_of(&entity);
                let before = topic.resized_from.map(|partitions| keys::partition_of(&entity, partitions));
                let to = keys::event(&queue, partition, seconds, id);
                if from == partition || before == Some(from) {
                    return Ok(false);
                }
                if tx.get(&to).await?.is_some() {
                    return Ok(false);
                }
                delete_pending(tx, key, &value).await?;
                let due = due_second(&to, &value);
                tx.system_keys().put_pending(to, value, due, None).await?;
                let moved = format!("{{\"partition\":{partition},\"second\":{seconds}}}");
                tx.system_keys().put(keys::moved_event(&queue, id), moved.into_bytes()).await?;
                // Workers may have read past where it lies now.
                Topic::raise_revision(tx, topic_name).await?;
            }
            Self::PutBeside { event, event_hash, value } => {
                // One that was erased has nothing beside it.
                let is_same = tx.get(&event).await?.is_some_and(|event| xxh3_128(&event) == event_hash);
                if found.is_some() || !is_same {
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
