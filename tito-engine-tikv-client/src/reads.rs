//! Reads of what a transaction sees, without its own writes.
//!
//! Each read makes a snapshot of the client at the transaction's start, which costs nothing: so reads of one transaction
//! run side by side, a cancelled one leaves nothing behind, and the client's cache, which panics when a key reads
//! differently from what it holds, stays empty.

use std::collections::{BTreeMap, BTreeSet};

use tikv_client::{
    Backoff, BoundRange, CheckLevel, KvPair, RetryOptions, Snapshot, TimestampExt, TransactionClient,
    TransactionOptions,
};

use super::Core;
use super::calls::{Answer, Attempts, Call};
use super::deadline::Deadline;
use tito_core::Result;
use tito_core::Timestamp;
use tito_core::engine::KeyValue;
use tito_core::keys::KeyRange;

/// The state of the cluster at one timestamp.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) core: &'a Core,
    pub(super) slot: usize,
    pub(super) timestamp: Timestamp,
}

/// The first rows of a range, in the order asked for.
pub(super) struct Page {
    pub(super) rows: Vec<KeyValue>,
    /// Whether the range has no more.
    pub(super) is_last: bool,
}

/// How often the client itself tries again after a region error or a broken connection. Few times, as reads are tried
/// again here anyway: an answer over the decode limit is transferred anew each time.
const REGION_BACKOFF: Backoff = Backoff::no_jitter_backoff(2, 100, 5);

/// How long the client waits for a lock: three quarters of a second.
const LOCK_BACKOFF: Backoff = Backoff::no_jitter_backoff(2, 250, 9);

impl At<'_> {
    pub(super) fn deadline(&self) -> Deadline {
        Deadline::after(self.core.settings.call_deadline)
    }

    fn snapshot(self, client: &TransactionClient) -> Snapshot {
        let options = TransactionOptions::new_optimistic()
            .retry_options(RetryOptions { region_backoff: REGION_BACKOFF, lock_backoff: LOCK_BACKOFF })
            .drop_check(CheckLevel::None);
        client.snapshot(tikv_client::Timestamp::from_version(self.timestamp.raw()), options)
    }

    /// The value of a key.
    pub(super) async fn get(self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let stored = self.core.prefix.stored(key);
        let range = only(&stored);
        let call = Call { name: "get", key: Some(key), range: &range };
        let read = |client: TransactionClient| {
            let stored = stored.clone();
            async move { self.snapshot(&client).get(stored).await }
        };
        match self.core.read(self.slot, &call, self.deadline(), read).await? {
            Answer::Done(value) => Ok(value),
            Answer::TooLarge(error) => Err(Attempts::new("get", Some(key), self.deadline()).lasting(error)),
        }
    }

    /// The values of those of the keys that exist.
    pub(super) async fn batch_get(self, keys: BTreeSet<Vec<u8>>) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let deadline = self.deadline();
        let keys: Vec<Vec<u8>> = keys.into_iter().collect();
        let mut found = BTreeMap::new();
        let mut done = 0;
        let mut most = usize::MAX;
        while done < keys.len() {
            let rows = self.core.page_size.rows(keys.len() - done).min(most);
            let page = &keys[done..done + rows];
            let stored: Vec<Vec<u8>> = page.iter().map(|key| self.core.prefix.stored(key)).collect();
            let range = KeyRange { start: stored[0].clone(), end: only(&stored[rows - 1]).end };
            let call = Call { name: "batch_get", key: Some(&page[0]), range: &range };
            let read = |client: TransactionClient| {
                let stored = stored.clone();
                async move {
                    let pairs = self.snapshot(&client).batch_get(stored).await?;
                    Ok(pairs.collect::<Vec<_>>())
                }
            };
            match self.core.read(self.slot, &call, deadline, read).await? {
                Answer::Done(pairs) => {
                    found.extend(self.learn(pairs));
                    done += rows;
                }
                Answer::TooLarge(error) => match self.core.page_size.did_not_fit(rows) {
                    Some(fewer) => most = fewer,
                    None => return Err(Attempts::new(call.name, call.key, deadline).lasting(error)),
                },
            }
        }
        Ok(found)
    }

    /// The first rows of a range, `needed` at most, ascending or descending.
    ///
    /// The client asks every region of the range for as many rows as are wanted in all, so a page is small enough that
    /// many regions of one make no mountain.
    pub(super) async fn page(
        self,
        range: &KeyRange,
        is_reverse: bool,
        needed: usize,
        deadline: Deadline,
    ) -> Result<Page> {
        let name = if is_reverse { "scan_reverse" } else { "scan" };
        let stored = self.core.prefix.stored_range(range);
        let call = Call { name, key: Some(&range.start), range: &stored };
        let mut most = usize::MAX;
        loop {
            let rows = self.core.page_size.rows(needed).min(most);
            let read = |client: TransactionClient| {
                let bounds = bounds_of(&stored);
                async move {
                    let mut snapshot = self.snapshot(&client);
                    // Pages have 4096 rows at most.
                    let limit = rows as u32;
                    Ok(if is_reverse {
                        snapshot.scan_reverse(bounds, limit).await?.collect::<Vec<_>>()
                    } else {
                        snapshot.scan(bounds, limit).await?.collect::<Vec<_>>()
                    })
                }
            };
            match self.core.read(self.slot, &call, deadline, read).await? {
                Answer::Done(pairs) => {
                    let is_last = pairs.len() < rows;
                    return Ok(Page { rows: self.learn(pairs), is_last });
                }
                Answer::TooLarge(error) => match self.core.page_size.did_not_fit(rows) {
                    Some(fewer) => most = fewer,
                    None => return Err(Attempts::new(name, call.key, deadline).lasting(error)),
                },
            }
        }
    }

    /// The rows with the engine's keys.
    fn learn(self, pairs: Vec<KvPair>) -> Vec<KeyValue> {
        let rows: Vec<KeyValue> = pairs
            .into_iter()
            .map(|pair| {
                let (key, value) = pair.into();
                (self.core.prefix.own(key.into()), value)
            })
            .collect();
        self.core.page_size.saw(rows.len(), rows.iter().map(|(key, value)| key.len() + value.len()).sum());
        rows
    }
}

/// The range as the client takes it.
pub(super) fn bounds_of(stored: &KeyRange) -> BoundRange {
    let (start, end) = stored.bounds();
    BoundRange::new(start.map(|key| key.to_vec().into()), end.map(|key| key.to_vec().into()))
}

/// The range of one key.
pub(super) fn only(key: &[u8]) -> KeyRange {
    let mut end = key.to_vec();
    end.push(0);
    KeyRange::new(key, end)
}
