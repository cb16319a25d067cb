//! Transactions.
use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::time::Duration;

use tito_tikv_proto::kvrpcpb::{Mutation, Op};
use tokio::time::Instant;

use super::core::Core;
use super::snapshot::{KeyValue, Snapshot};
use crate::protocol::commit::Plan;
use crate::{Outcome, Reason, Result, Timestamp};

/// A transaction: it reads what was committed up to its start, sees its own writes, and commits all of them or none.
///
/// It is optimistic: nothing is sent before [`commit`](Self::commit), which fails if another transaction has written
/// one of the keys since the start. Dropped before that, it leaves nothing.
#[derive(Debug)]
pub struct Transaction {
    snapshot: Snapshot,
    begun: Instant,
    writes: BTreeMap<Vec<u8>, Write>,
    primary: Option<Vec<u8>>,
    age_limit: Option<Duration>,
}

/// What is to become of a key.
#[derive(Clone, Debug, PartialEq)]
struct Write {
    /// A value, or `None` to delete it; outside is `None` for a lock.
    value: Option<Option<Vec<u8>>>,
    must_be_new: bool,
}

impl Transaction {
    pub(super) fn new(core: Arc<Core>, start: Timestamp, begun: Instant) -> Self {
        let age_limit = core.settings.max_transaction_age;
        Transaction { snapshot: Snapshot::new(core, start), begun, writes: BTreeMap::new(), primary: None, age_limit }
    }

    /// The transaction's start, at which it reads.
    pub fn start(&self) -> Timestamp {
        self.snapshot.timestamp()
    }

    /// What was committed up to the start, without the transaction's own writes.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Writes a key.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.write(key.into(), Some(value.into()));
    }

    /// Deletes a key.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) {
        self.write(key.into(), None);
    }

    fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let must_be_new = self.writes.get(&key).is_some_and(|write| write.must_be_new);
        self.writes.insert(key, Write { value: Some(value), must_be_new });
    }

    /// Writes a key that must not exist at the start; if it does the commit fails with [`Reason::Exists`]. Asks nobody.
    pub fn insert(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        let (key, value) = (key.into(), Some(value.into()));
        // A key that the transaction has written itself is as the transaction left it.
        let must_be_new = self.writes.get(&key).is_none_or(|write| write.must_be_new || write.value.is_none());
        self.writes.insert(key, Write { value: Some(value), must_be_new });
    }

    /// Makes a key count as written, so that the commit fails if another transaction writes it meanwhile.
    pub fn lock(&mut self, key: impl Into<Vec<u8>>) {
        self.writes.entry(key.into()).or_insert(Write { value: None, must_be_new: false });
    }

    /// Makes a key the primary, which has to be among those that are written or locked at the commit. Default: the
    /// first that is written.
    pub fn primary(&mut self, key: impl Into<Vec<u8>>) {
        self.primary = Some(key.into());
    }

    /// How old the transaction may be at its commit timestamp. Default: the client's
    /// [`max_transaction_age`](super::Builder::max_transaction_age).
    pub fn age_limit(&mut self, limit: Option<Duration>) {
        self.age_limit = limit;
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::get`].
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        match self.writes.get(key.as_ref()).and_then(|write| write.value.clone()) {
            Some(value) => Ok(value),
            None => self.snapshot.get(key).await,
        }
    }

    /// The values of some keys, as [`Snapshot::batch_get`].
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::get`].
    pub async fn batch_get<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Result<Vec<KeyValue>> {
        let (mut own, mut others) = (BTreeMap::new(), Vec::new());
        for key in keys {
            match self.writes.get(key.as_ref()).and_then(|write| write.value.clone()) {
                Some(value) => own.extend(value.map(|value| (key.as_ref().to_vec(), value))),
                None => others.push(key),
            }
        }
        own.extend(self.snapshot.batch_get(others).await?);
        Ok(own.into_iter().collect())
    }

    /// The first keys of a range, as [`Snapshot::scan`].
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::get`].
    pub async fn scan<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>, limit: usize) -> Result<Vec<KeyValue>> {
        self.read_range(range, limit, false).await
    }

    /// The last keys of a range, from the last on, as [`Snapshot::scan_reverse`].
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::get`].
    pub async fn scan_reverse<K: AsRef<[u8]>>(
        &self,
        range: impl RangeBounds<K>,
        limit: usize,
    ) -> Result<Vec<KeyValue>> {
        self.read_range(range, limit, true).await
    }

    async fn read_range<K: AsRef<[u8]>>(
        &self,
        range: impl RangeBounds<K>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<KeyValue>> {
        let bound = |bound: Bound<&K>| bound.map(|key| key.as_ref().to_vec());
        let range = (bound(range.start_bound()), bound(range.end_bound()));
        if is_empty(&range) {
            return Ok(Vec::new());
        }
        let own = || self.writes.range(range.clone()).filter_map(|(key, write)| Some((key, write.value.as_ref()?)));
        // So many rows that the limit is reached whatever is deleted of them.
        let deleted = own().filter(|(_, value)| value.is_none()).count();
        let asked = limit.saturating_add(deleted);
        let stored = if reverse {
            self.snapshot.scan_reverse(range.clone(), asked).await?
        } else {
            self.snapshot.scan(range.clone(), asked).await?
        };
        // Behind the last row of an answer that is cut off there may be more than is known.
        let last = stored.last().filter(|_| stored.len() >= asked).map(|(key, _)| key.clone());
        let is_covered =
            |key: &Vec<u8>| last.as_ref().is_none_or(|last| if reverse { key >= last } else { key <= last });
        let mut merged: BTreeMap<Vec<u8>, Vec<u8>> = stored.into_iter().collect();
        for (key, value) in own().filter(|(key, _)| is_covered(key)) {
            match value {
                Some(value) => merged.insert(key.clone(), value.clone()),
                None => merged.remove(key),
            };
        }
        let rows = merged.into_iter();
        Ok(if reverse { rows.rev().take(limit).collect() } else { rows.take(limit).collect() })
    }

    /// Commits all writes or none. Says which of three it was, and never anything between.
    ///
    /// It runs in a task of its own: a caller that stops waiting does not stop it. Within the call deadline it is known
    /// whether it was sent; where its answer is missing, the primary key is asked for as long again.
    pub async fn commit(self) -> Outcome {
        let core = self.snapshot.core.clone();
        let mutations: Vec<Mutation> = self.writes.iter().map(|(key, write)| mutation(&core, key, write)).collect();
        if mutations.iter().all(|mutation| mutation.op() == Op::CheckNotExists) {
            return self.check_only(mutations).await;
        }
        let primary = self.primary.as_ref().map(|key| core.keyspace.stored(key));
        match Plan::new(mutations, primary.as_deref(), self.start().raw()) {
            Ok(mut plan) => {
                // Rounded up, as the start lies before it was told.
                plan.age_millis = self.begun.elapsed().as_millis() as u64 + 1;
                plan.age_limit_millis = self.age_limit.map(|limit| limit.as_millis() as u64);
                plan.deadline_millis = core.settings.call_deadline.as_millis() as u64;
                core.commit(plan).await
            }
            Err(error) => Outcome::NotCommitted(Reason::Failed(error)),
        }
    }

    /// Nothing is written: it is enough to read that what must not exist does not.
    async fn check_only(&self, mutations: Vec<Mutation>) -> Outcome {
        let keys = mutations.iter().map(|mutation| self.snapshot.core.keyspace.own(&mutation.key));
        match self.snapshot.batch_get(keys.collect::<Vec<_>>()).await {
            Ok(found) => match found.into_iter().next() {
                Some((key, _)) => Outcome::NotCommitted(Reason::Exists { key: key.into() }),
                None => Outcome::Committed(self.start()),
            },
            Err(error) => Outcome::NotCommitted(Reason::Failed(error)),
        }
    }
}

fn mutation(core: &Core, key: &[u8], write: &Write) -> Mutation {
    let (op, value) = match (&write.value, write.must_be_new) {
        (None, _) => (Op::Lock, None),
        (Some(Some(value)), true) => (Op::Insert, Some(value.clone())),
        (Some(Some(value)), false) => (Op::Put, Some(value.clone())),
        // Inserted and deleted again: nothing is written, but it must not have been there.
        (Some(None), true) => (Op::CheckNotExists, None),
        (Some(None), false) => (Op::Del, None),
    };
    Mutation { op: op.into(), key: core.keyspace.stored(key), value: value.unwrap_or_default(), ..Mutation::default() }
}

/// Whether a range is empty, or its bounds are the wrong way round, of which a map panics.
fn is_empty((start, end): &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> bool {
    match (start, end) {
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Excluded(end))
        | (Bound::Excluded(start), Bound::Included(end)) => start >= end,
        _ => false,
    }
}
