//! What a transaction that acknowledges events reads in addition, to find out whether it still may.

use tito_core::event::{Topic, topic_of};
use tito_core::{Result, Transaction};
use uuid::Uuid;

use crate::keys;
use crate::membership::Lease;

/// Where to find the answers.
#[derive(Clone, Debug)]
pub(super) struct Fence {
    topic_key: Vec<u8>,
    /// The partition's lease, if it is owned by one.
    lease: Option<(Vec<u8>, Lease)>,
}

/// The answers, and the events.
pub(super) struct Checked {
    /// The topic as the transaction sees it.
    pub(super) topic: Topic,
    /// Whether the partition is still this worker's.
    pub(super) is_owned: bool,
    pub(super) events: Vec<Option<Vec<u8>>>,
}

impl Fence {
    pub(super) fn new(queue: &str, partition: u16, lease: Option<Lease>) -> Self {
        Self {
            topic_key: keys::topic(topic_of(queue).0),
            lease: lease.map(|lease| (keys::lease(queue, partition), lease)),
        }
    }

    /// The member that owns the partition, if it is owned by one.
    pub(super) fn member(&self) -> Option<Uuid> {
        self.lease.as_ref().map(|(_, lease)| lease.member)
    }

    /// Reads the events under these keys, along with what must be known, in one call.
    pub(super) async fn read(&self, tx: &Transaction, events: Vec<Vec<u8>>) -> Result<Checked> {
        let mut all = events;
        let count = all.len();
        all.push(self.topic_key.clone());
        all.extend(self.lease.as_ref().map(|(key, _)| key.clone()));
        let mut stored = tx.batch_get(all).await?;
        let mut beside = stored.split_off(count).into_iter();
        let topic = match beside.next().flatten() {
            Some(stored) => Topic::decode(&self.topic_key, &stored)?,
            None => Topic::unused(),
        };
        let is_owned = self.lease.as_ref().is_none_or(|(_, lease)| lease.is_held(beside.next().flatten().as_deref()));
        Ok(Checked { topic, is_owned, events: stored })
    }
}
