//! The database file: redb.

use std::path::Path;
use std::sync::Arc;

use redb::backends::InMemoryBackend;
use redb::{Database, DatabaseError, ReadOnlyTable, ReadableDatabase, TableDefinition, TableError};

use super::super::store::{Direction, Entries, StoreResult};
use super::memtable::Memtable;
use crate::error::BoxError;
use crate::keys::KeyRange;
use crate::timestamp::Timestamp;

/// Everything that the transaction layer stores.
const DATA: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("data");
/// What the storage needs to know of itself.
const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");

const META_FORMAT: &str = "format";
const META_RESERVED: &str = "reserved";
const META_MERGED_SEGMENT: &str = "merged_segment";

/// Changes when a database can no longer be read by code for the number before.
const FORMAT: u64 = 1;

/// The database file. Clones share it.
#[derive(Clone)]
pub(in super::super) struct Base {
    database: Arc<Database>,
}

/// Why a file could not be opened.
pub(in super::super) enum OpenError {
    Database(DatabaseError),
    /// It is a database of redb's, but not one of ours.
    Format(String),
    Other(BoxError),
}

/// One state of the database file.
pub(super) struct BaseSnapshot(ReadOnlyTable<&'static [u8], &'static [u8]>);

impl Base {
    /// Creates a new database file, complete and durable when this returns.
    pub(in super::super) fn create(path: &Path, cache_bytes: usize) -> StoreResult<()> {
        let database = Database::builder().set_cache_size(cache_bytes).create(path)?;
        Self { database: Arc::new(database) }.initialize()
    }

    pub(in super::super) fn in_memory(cache_bytes: usize) -> StoreResult<Self> {
        let backend = InMemoryBackend::new();
        let database = Database::builder().set_cache_size(cache_bytes).create_with_backend(backend)?;
        let base = Self { database: Arc::new(database) };
        base.initialize()?;
        Ok(base)
    }

    /// Opens an existing file; creates nothing.
    pub(in super::super) fn open(path: &Path, cache_bytes: usize) -> Result<Self, OpenError> {
        let database = Database::builder().set_cache_size(cache_bytes).open(path).map_err(OpenError::Database)?;
        let base = Self { database: Arc::new(database) };
        match base.meta(META_FORMAT).map_err(OpenError::Other)? {
            Some(FORMAT) => Ok(base),
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

    pub(super) fn snapshot(&self) -> StoreResult<BaseSnapshot> {
        Ok(BaseSnapshot(self.database.begin_read()?.open_table(DATA)?))
    }

    /// Applies a memtable in one durable transaction, and notes with it that the log segment it came from is done.
    pub(super) fn merge(&self, table: &Memtable, segment: u64, reserved: Timestamp) -> StoreResult<()> {
        let mut transaction = self.database.begin_write()?;
        // The allocator's state is saved with the commit, so that opening after a crash need not walk the file.
        transaction.set_quick_repair(true);
        {
            let mut data = transaction.open_table(DATA)?;
            table.for_each_latest(|key, value| match value {
                Some(value) => data.insert(key, value).map(drop),
                None => data.remove(key).map(drop),
            })?;
            let mut meta = transaction.open_table(META)?;
            meta.insert(META_MERGED_SEGMENT, segment)?;
            meta.insert(META_RESERVED, reserved.raw())?;
        }
        Ok(transaction.commit()?)
    }

    /// The last log segment that was merged; 0 if none was.
    pub(in super::super) fn merged_segment(&self) -> StoreResult<u64> {
        Ok(self.meta(META_MERGED_SEGMENT)?.unwrap_or(0))
    }

    /// The `reserved` of the last merge.
    pub(super) fn reserved(&self) -> StoreResult<Timestamp> {
        Ok(self.meta(META_RESERVED)?.map_or(Timestamp::ZERO, Timestamp::from_raw))
    }

    /// Gives unused pages back to the file system.
    pub(in super::super) fn compact(self) -> StoreResult<bool> {
        let mut database = Arc::into_inner(self.database).ok_or("a snapshot of the database is alive")?;
        Ok(database.compact()?)
    }

    fn meta(&self, key: &str) -> StoreResult<Option<u64>> {
        match self.database.begin_read()?.open_table(META) {
            Ok(table) => Ok(table.get(key)?.map(|value| value.value())),
            Err(TableError::TableDoesNotExist(_) | TableError::TableTypeMismatch { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl BaseSnapshot {
    pub(super) fn get(&self, key: &[u8]) -> StoreResult<Option<Vec<u8>>> {
        Ok(self.0.get(key)?.map(|value| value.value().to_vec()))
    }

    pub(super) fn range(&self, range: &KeyRange, direction: Direction) -> StoreResult<Entries<'_>> {
        let entries = self.0.range::<&[u8]>(range.bounds())?.map(|entry| {
            let (key, value) = entry?;
            Ok((key.value().to_vec(), value.value().to_vec()))
        });
        Ok(match direction {
            Direction::Ascending => Box::new(entries),
            Direction::Descending => Box::new(entries.rev()),
        })
    }
}
