//! The storage on redb.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use redb::backends::InMemoryBackend;
use redb::{Database, DatabaseError, ReadOnlyTable, ReadableDatabase, ReadableTableMetadata, TableDefinition, TableError};

use super::store::{Direction, Snapshot, Store, StoreResult, StoreSizes, Visit, Write};
use crate::error::BoxError;
use crate::keys::KeyRange;
use crate::timestamp::Timestamp;

/// Everything that the layer above stores.
const DATA: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("data");
/// What the layer below needs to know.
const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");

const META_FORMAT: &str = "format";
const META_RESERVED: &str = "reserved";

/// Changes when a database can no longer be read by code for the number before.
const FORMAT: u64 = 1;

pub(super) struct RedbStore {
    database: Database,
    is_durable: bool,
}

/// Why a file could not be opened.
pub(super) enum OpenError {
    Database(DatabaseError),
    /// It is a database of redb's, but not one of ours.
    Format(String),
    Other(BoxError),
}

impl RedbStore {
    /// Creates a new database file, complete and durable when this returns.
    pub(super) fn create(path: &Path, cache_bytes: usize) -> StoreResult<()> {
        let database = Database::builder().set_cache_size(cache_bytes).create(path)?;
        Self { database, is_durable: true }.initialize()
    }

    pub(super) fn in_memory(cache_bytes: usize) -> StoreResult<Self> {
        let backend = InMemoryBackend::new();
        let database = Database::builder().set_cache_size(cache_bytes).create_with_backend(backend)?;
        let store = Self { database, is_durable: false };
        store.initialize()?;
        Ok(store)
    }

    /// Opens an existing file; creates nothing.
    pub(super) fn open(path: &Path, cache_bytes: usize) -> Result<Self, OpenError> {
        let database = Database::builder().set_cache_size(cache_bytes).open(path).map_err(OpenError::Database)?;
        let store = Self { database, is_durable: true };
        match store.meta(META_FORMAT).map_err(OpenError::Other)? {
            Some(FORMAT) => Ok(store),
            Some(other) => Err(OpenError::Format(format!("its format is {other}, this version reads format {FORMAT}"))),
            None => Err(OpenError::Format("it is a redb file, but not one of Tito's".to_string())),
        }
    }

    fn initialize(&self) -> StoreResult<()> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(DATA)?;
        transaction.open_table(META)?.insert(META_FORMAT, FORMAT)?;
        Ok(transaction.commit()?)
    }

    fn meta(&self, key: &str) -> StoreResult<Option<u64>> {
        match self.database.begin_read()?.open_table(META) {
            Ok(table) => Ok(table.get(key)?.map(|value| value.value())),
            Err(TableError::TableDoesNotExist(_) | TableError::TableTypeMismatch { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Store for RedbStore {
    fn snapshot(&self) -> StoreResult<Arc<dyn Snapshot>> {
        Ok(Arc::new(RedbSnapshot(self.database.begin_read()?.open_table(DATA)?)))
    }

    fn apply(&mut self, writes: &[Write], reserved: Timestamp) -> StoreResult<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_quick_repair(true);
        {
            let mut data = transaction.open_table(DATA)?;
            for (key, value) in writes {
                match value {
                    Some(value) => drop(data.insert(key.as_slice(), value.as_slice())?),
                    None => drop(data.remove(key.as_slice())?),
                }
            }
            transaction.open_table(META)?.insert(META_RESERVED, reserved.raw())?;
        }
        Ok(transaction.commit()?)
    }

    fn reserved(&self) -> StoreResult<Timestamp> {
        Ok(self.meta(META_RESERVED)?.map_or(Timestamp::ZERO, Timestamp::from_raw))
    }

    fn is_durable(&self) -> bool {
        self.is_durable
    }

    fn compact(&mut self) -> StoreResult<bool> {
        Ok(self.database.compact()?)
    }

    fn sizes(&self) -> StoreResult<StoreSizes> {
        let transaction = self.database.begin_read()?;
        let data = transaction.open_table(DATA)?;
        let stats = data.stats()?;
        let pages = self.database.begin_write()?;
        let file = pages.stats()?;
        pages.abort()?;
        Ok(StoreSizes {
            file_bytes: file.allocated_pages() * file.page_size() as u64,
            stored_bytes: stats.stored_bytes(),
            keys: data.len()?,
        })
    }
}

struct RedbSnapshot(ReadOnlyTable<&'static [u8], &'static [u8]>);

impl Snapshot for RedbSnapshot {
    fn get(&self, key: &[u8]) -> StoreResult<Option<Vec<u8>>> {
        Ok(self.0.get(key)?.map(|value| value.value().to_vec()))
    }

    fn scan(&self, range: &KeyRange, direction: Direction, visit: &mut Visit<'_>) -> StoreResult<()> {
        let mut entries = self.0.range(range.start.as_slice()..range.end.as_slice())?;
        loop {
            let entry = match direction {
                Direction::Ascending => entries.next(),
                Direction::Descending => entries.next_back(),
            };
            let Some(entry) = entry else { return Ok(()) };
            let (key, value) = entry?;
            if let ControlFlow::Break(()) = visit(key.value(), value.value()) {
                return Ok(());
            }
        }
    }
}
