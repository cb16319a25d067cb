//! What Tito is measured beside: the least that can be done for the same bytes.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use redb::{Database, ReadableTable as _, TableDefinition};

use super::load::{Put, Puts};
use super::timed;

const TABLE: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("data");

/// The simplest loop over redb: each group sorted, in one durable transaction.
pub struct BareRedb(Database);

impl BareRedb {
    pub fn create(directory: &Path) -> Self {
        let database = Database::builder().set_cache_size(256 << 20).create(directory.join("bare.redb")).unwrap();
        Self(database)
    }

    /// Applies the transactions in groups of `group`.
    pub fn commit_all(&self, group: usize, transactions: Vec<Puts>) -> Duration {
        let mut transactions = transactions.into_iter();
        timed(|| {
            while transactions.len() > 0 {
                let mut puts: Vec<Put> = transactions.by_ref().take(group).flatten().collect();
                puts.sort_unstable();
                let transaction = self.0.begin_write().unwrap();
                {
                    let mut table = transaction.open_table(TABLE).unwrap();
                    for (key, value) in &puts {
                        table.insert(key.as_slice(), value.as_slice()).unwrap();
                    }
                }
                transaction.commit().unwrap();
            }
        })
    }
}

/// A file that grows: each group appended in one call and synchronised.
pub struct RawAppend(File);

impl RawAppend {
    pub fn create(directory: &Path) -> Self {
        Self(File::create(directory.join("raw")).unwrap())
    }

    /// Appends the transactions in groups of `group`.
    pub fn commit_all(&mut self, group: usize, transactions: &[Puts]) -> Duration {
        let mut bytes = Vec::new();
        timed(|| {
            for group in transactions.chunks(group) {
                bytes.clear();
                for (key, value) in group.iter().flatten() {
                    bytes.extend_from_slice(key);
                    bytes.extend_from_slice(value);
                }
                self.0.write_all(&bytes).unwrap();
                self.0.sync_data().unwrap();
            }
        })
    }
}

/// Deletes everything in the simplest way: 100 keys from the beginning of a partition, in a durable transaction each.
pub fn drain_bare(directory: &Path, entries: &[Vec<Put>]) -> Duration {
    let BareRedb(database) = BareRedb::create(directory);
    let prefixes: Vec<Vec<u8>> = entries.iter().map(|entries| entries[0].0[..PARTITION_PREFIX].to_vec()).collect();
    let fill = database.begin_write().unwrap();
    {
        let mut table = fill.open_table(TABLE).unwrap();
        for (key, value) in entries.iter().flatten() {
            table.insert(key.as_slice(), value.as_slice()).unwrap();
        }
    }
    fill.commit().unwrap();
    timed(|| {
        for prefix in prefixes {
            let mut end = prefix.clone();
            end.push(b'~');
            loop {
                let transaction = database.begin_write().unwrap();
                let mut table = transaction.open_table(TABLE).unwrap();
                let found: Vec<Put> = table
                    .range(prefix.as_slice()..end.as_slice())
                    .unwrap()
                    .take(100)
                    .map(|entry| entry.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())).unwrap())
                    .collect();
                for (key, _) in &found {
                    table.remove(key.as_slice()).unwrap();
                }
                drop(table);
                transaction.commit().unwrap();
                if found.is_empty() {
                    break;
                }
            }
        }
    })
}

/// The length of `event:user:0000:`.
const PARTITION_PREFIX: usize = 16;
