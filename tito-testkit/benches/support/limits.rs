//! What Tito is measured beside: the least that can be done for the same bytes.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use redb::{Database, TableDefinition};

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
