//! What a transaction that acknowledges events reads in addition, to find out whether it still may.

use std::borrow::Cow;

use tito_core::engine::SnapshotVersion;
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

/// An event as it was handed out: its key, its row, and the version of the transaction that read it.
pub(super) type HandedOut<'a> = (&'a [u8], &'a [u8], Option<SnapshotVersion>);

/// The answers, and the rows that were read along with them.
pub(super) struct Checked<R> {
    /// The topic as the transaction sees it.
    pub(super) topic: Topic,
    /// Whether the partition is still this worker's.
    pub(super) is_owned: bool,
    pub(super) rows: Vec<Option<R>>,
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

    /// What is stored of events now, along with what must be known. Borrowed rows are as they were handed out, which the
    /// engine knows of most events without reading them again.
    pub(super) async fn check<'a>(
        &self,
        tx: &Transaction,
        handed_out: Vec<HandedOut<'a>>,
    ) -> Result<Checked<Cow<'a, [u8]>>> {
        let (mut rows, mut unknown) = (Vec::with_capacity(handed_out.len()), Vec::new());
        for (key, row, version) in handed_out {
            let is_unchanged = version.is_some_and(|version| tx.is_unchanged(key, version));
            if !is_unchanged {
                unknown.push((rows.len(), key.to_vec()));
            }
            rows.push(is_unchanged.then_some(Cow::Borrowed(row)));
        }
        let (places, unknown): (Vec<_>, _) = unknown.into_iter().unzip();
        let Checked { topic, is_owned, rows: read } = self.read(tx, unknown).await?;
        for (place, row) in places.into_iter().zip(read) {
            rows[place] = row.map(Cow::Owned);
        }
        Ok(Checked { topic, is_owned, rows })
    }

    /// Reads the rows under these keys, along with what must be known, in one call.
    pub(super) async fn read(&self, tx: &Transaction, mut keys: Vec<Vec<u8>>) -> Result<Checked<Vec<u8>>> {
        let count = keys.len();
        keys.push(self.topic_key.clone());
        keys.extend(self.lease.as_ref().map(|(key, _)| key.clone()));
        let mut rows = tx.batch_get(keys).await?;
        let mut beside = rows.split_off(count).into_iter();
        let topic = match beside.next().flatten() {
            Some(stored) => Topic::decode(&self.topic_key, &stored)?,
            None => Topic::unused(),
        };
        let is_owned = self.lease.as_ref().is_none_or(|(_, lease)| lease.is_held(beside.next().flatten().as_deref()));
        Ok(Checked { topic, is_owned, rows })
    }
}
