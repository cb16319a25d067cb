//! The database file: redb.

use std::io;
use std::sync::Arc;

use redb::backends::InMemoryBackend;
use redb::{
    AccessGuard, Database, DatabaseError, ReadOnlyTable, ReadableDatabase, StorageBackend, TableDefinition, TableError,
    WriteTransaction,
};

use super::backend::Backend;
use super::file::DataFile;
use super::memtable::Memtable;
use super::overlay::Overlay;
use super::row_cache::RowCache;
use super::space::Space;
use crate::embedded::store::StoreResult;
use crate::engine::DatabaseIdentity;
use crate::engine::Direction;
use crate::error::{BoxError, TitoError};
use crate::keys::{self, KeyRange};
use crate::timestamp::Timestamp;

/// Everything that the transaction layer stores.
const DATA: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("data");
/// What the storage needs to know of itself.
const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");

/// What the database says of itself: one row.
const OWN: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("database");

const OWN_IDENTITY: &str = "identity";

const META_FORMAT: &str = "format";
const META_RESERVED: &str = "reserved";
const META_FLUSHED_SEGMENT: &str = "merged_segment";

/// Raised when code for the previous number can no longer read the database.
const FORMAT: u64 = 1;

/// The database file. Clones share it.
#[derive(Clone)]
pub(in crate::embedded) struct Base {
    database: Arc<Database>,
    identity: DatabaseIdentity,
    /// `None` for a database from before there were identities: the next flush gives it one. Opening does not, as redb
    /// accepts no calls after a write that failed for want of space.
    is_identity_stored: bool,
}

/// Why a file could not be opened.
pub(in crate::embedded) enum OpenError {
    Database(DatabaseError),
    /// It is a database of redb's, but not one of ours.
    Format(String),
    /// Its own description can't be used.
    Identity(TitoError),
    Other(BoxError),
}

/// A key and its value, in a page of the database file.
pub(super) type Stored<'a> = (AccessGuard<'a, &'static [u8]>, AccessGuard<'a, &'static [u8]>);

/// One state of the database file.
pub(super) struct BaseSnapshot {
    table: ReadOnlyTable<&'static [u8], &'static [u8]>,
    cache: RowCache,
}

impl Base {
    /// Creates a database in an empty file, complete and durable when this returns; if it is to be filled from
    /// elsewhere, with that mark from the beginning.
    pub(in crate::embedded) fn create(file: DataFile, cache_bytes: usize, mark: Option<&[u8]>) -> StoreResult<()> {
        plainly(|| {
            let backend = Backend::new(file, Arc::default())?;
            let database = Database::builder().set_cache_size(cache_bytes).create_with_backend(backend)?;
            Self::new(database).initialize(mark)
        })
    }

    pub(in crate::embedded) fn in_memory(cache_bytes: usize) -> StoreResult<Self> {
        plainly(|| {
            let backend = InMemoryBackend::new();
            let database = Database::builder().set_cache_size(cache_bytes).create_with_backend(backend)?;
            let mut base = Self::new(database);
            base.initialize(None)?;
            base.is_identity_stored = true;
            Ok(base)
        })
    }

    /// Opens a database file; creates nothing. Its writes wait as `space` says.
    pub(in crate::embedded) fn open(file: DataFile, space: Arc<Space>, cache_bytes: usize) -> Result<Self, OpenError> {
        check_length(&file)?;
        let backend = Backend::new(file, space).map_err(OpenError::Database)?;
        Self::opened(backend, cache_bytes)
    }

    /// Like [`open`](Base::open), of a file that stays as it is.
    pub(in crate::embedded) fn open_to_read(file: DataFile, cache_bytes: usize) -> Result<Self, OpenError> {
        check_length(&file)?;
        let overlay = Overlay::new(file).map_err(|error| OpenError::Other(error.into()))?;
        Self::opened(overlay, cache_bytes)
    }

    fn opened(backend: impl StorageBackend, cache_bytes: usize) -> Result<Self, OpenError> {
        let opened = Database::builder().set_cache_size(cache_bytes).create_with_backend(backend);
        let base = Self::new(opened.map_err(OpenError::Database)?);
        match base.meta(META_FORMAT).map_err(OpenError::Other)? {
            Some(FORMAT) => base.with_stored_identity(),
            Some(other) => Err(OpenError::Format(format!("its format is {other}, this version reads format {FORMAT}"))),
            None => Err(OpenError::Format("it is a redb file, but not one of Tito's".to_string())),
        }
    }

    fn new(database: Database) -> Self {
        Self { database: Arc::new(database), identity: DatabaseIdentity::random(), is_identity_stored: false }
    }

    fn with_stored_identity(mut self) -> Result<Self, OpenError> {
        let stored = plainly(|| match self.database.begin_read()?.open_table(OWN) {
            Ok(table) => Ok(table.get(OWN_IDENTITY)?.map(|stored| DatabaseIdentity::decode(stored.value()))),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        });
        if let Some(identity) = stored.map_err(OpenError::Other)? {
            self.identity = identity.map_err(OpenError::Identity)?;
            self.is_identity_stored = true;
        }
        Ok(self)
    }

    fn initialize(&self, mark: Option<&[u8]>) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        let mut data = transaction.open_table(DATA)?;
        if let Some(mark) = mark {
            data.insert(keys::filling().as_slice(), mark)?;
        }
        drop(data);
        transaction.open_table(META)?.insert(META_FORMAT, FORMAT)?;
        self.put_identity(&transaction)?;
        Ok(transaction.commit()?)
    }

    fn put_identity(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        // There is nothing in it that could not be written.
        let identity = self.identity.encode().map_err(|error| redb::Error::Io(io::Error::other(error)))?;
        transaction.open_table(OWN)?.insert(OWN_IDENTITY, identity.as_slice())?;
        Ok(())
    }

    /// Whether the file says which database it is.
    pub(in super::super) fn has_stored_identity(&self) -> bool {
        self.is_identity_stored
    }

    /// What the database says of itself.
    pub(super) fn identity(&self) -> &DatabaseIdentity {
        &self.identity
    }

    pub(super) fn snapshot(&self) -> StoreResult<BaseSnapshot> {
        let table = plainly(|| Ok(self.database.begin_read()?.open_table(DATA)?))?;
        Ok(BaseSnapshot { table, cache: RowCache::default() })
    }

    /// Applies a memtable in one durable transaction, and notes with it that the log segment it came from is done.
    pub(super) fn flush(&self, table: &Memtable, segment: u64, reserved: Timestamp) -> StoreResult<()> {
        plainly(|| {
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
                meta.insert(META_FLUSHED_SEGMENT, segment)?;
                meta.insert(META_RESERVED, reserved.raw())?;
            }
            if !self.is_identity_stored {
                self.put_identity(&transaction)?;
            }
            Ok(transaction.commit()?)
        })
    }

    /// The last log segment that was flushed; 0 if none was.
    pub(in crate::embedded) fn flushed_segment(&self) -> StoreResult<u64> {
        Ok(self.meta(META_FLUSHED_SEGMENT)?.unwrap_or(0))
    }

    /// The `reserved` of the last flush.
    pub(super) fn reserved(&self) -> StoreResult<Timestamp> {
        Ok(self.meta(META_RESERVED)?.map_or(Timestamp::ZERO, Timestamp::from_raw))
    }

    /// Gives unused pages back to the file system.
    pub(in crate::embedded) fn compact(self) -> StoreResult<bool> {
        let mut database = Arc::into_inner(self.database).ok_or("a snapshot of the database is alive")?;
        plainly(|| Ok(database.compact()?))
    }

    fn meta(&self, key: &str) -> StoreResult<Option<u64>> {
        plainly(|| match self.database.begin_read()?.open_table(META) {
            Ok(table) => Ok(table.get(key)?.map(|value| value.value())),
            Err(TableError::TableDoesNotExist(_) | TableError::TableTypeMismatch { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        })
    }
}

fn check_length(file: &DataFile) -> Result<(), OpenError> {
    match file.length() {
        // redb would make a new one of it.
        Ok(0) => Err(OpenError::Format("it is empty".to_string())),
        Ok(_) => Ok(()),
        Err(error) => Err(OpenError::Other(error.into())),
    }
}

/// Calls `f`, and unwraps errors of the file system: redb's errors don't name them as their source.
fn plainly<T>(f: impl FnOnce() -> Result<T, redb::Error>) -> StoreResult<T> {
    f().map_err(|error| match error {
        redb::Error::Io(error) => error.into(),
        error => error.into(),
    })
}

impl BaseSnapshot {
    pub(super) fn get(&self, key: &[u8]) -> StoreResult<Option<Vec<u8>>> {
        Ok(self.table.get(key)?.map(|value| value.value().to_vec()))
    }

    /// Like [`get`](BaseSnapshot::get), and puts it into the cache.
    pub(super) fn get_and_cache(&self, key: &[u8]) -> StoreResult<Option<Vec<u8>>> {
        let value = self.get(key)?;
        self.cache.insert(key, value.as_deref());
        Ok(value)
    }

    /// What the cache has of a key: `Some(None)` if it has no value.
    pub(super) fn get_cached(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        self.cache.get(key)
    }

    /// The entries of a range as they lie in the file's pages.
    pub(super) fn range(
        &self,
        range: &KeyRange,
        direction: Direction,
    ) -> StoreResult<impl Iterator<Item = StoreResult<Stored<'_>>>> {
        let mut entries = self.table.range::<&[u8]>(range.bounds())?;
        let next = move || match direction {
            Direction::Ascending => entries.next(),
            Direction::Descending => entries.next_back(),
        };
        Ok(std::iter::from_fn(next).map(|entry| Ok(entry?)))
    }
}
