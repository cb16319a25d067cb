//! Options of the embedded engine.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::EmbeddedBackend;
use super::opening::{self, DiskOptions, storage_failed};
use super::storage::{Faults, Modes, Storage};
use crate::clock::{Clock, SystemClock};
use crate::database::Database;
use crate::engine::{Filling, Limits, Purpose};
use crate::error::Result;
#[cfg(doc)]
use crate::error::TitoError;

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 256 << 20,
            memtable_bytes: 32 << 20,
            modes: Modes::default(),
            purpose: Purpose::Use,
            faults: Faults::default(),
        }
    }
}

/// Options of an [`EmbeddedBackend`].
///
/// ```
/// # use tito_core::embedded::EmbeddedBackend;
/// # async fn example() -> Result<(), tito_core::TitoError> {
/// let db = EmbeddedBackend::builder()
///     .cache_bytes(64 << 20)
///     .max_transaction_age(std::time::Duration::from_secs(10))
///     .open("./data")
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct EmbeddedBuilder {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: Limits,
    pub(super) max_transaction_age: Duration,
    pub(super) disk: DiskOptions,
}

impl Default for EmbeddedBuilder {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            limits: Limits::default(),
            max_transaction_age: Duration::from_secs(30),
            disk: DiskOptions::default(),
        }
    }
}

impl EmbeddedBuilder {
    /// The clock that the engine derives its time from. Default: the machine's. The engine takes the wall clock's time
    /// when the database is opened, and later whenever it has been set and has stayed so for 10 s; the monotonic clock
    /// says how time passes.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How large keys, values and transactions may be. Sizes over 1 GiB count as 1 GiB.
    pub fn limits(mut self, limits: Limits) -> Self {
        // A frame of the log has 32 bits for its length.
        const MOST_BYTES: usize = 1 << 30;
        self.limits = Limits {
            key_bytes: limits.key_bytes.min(MOST_BYTES),
            value_bytes: limits.value_bytes.min(MOST_BYTES),
            transaction_bytes: limits.transaction_bytes.min(MOST_BYTES),
            ..limits
        };
        self
    }

    /// How old a transaction may become. An older one can't commit, nor read once something else was committed. Default
    /// 30 s.
    ///
    /// A longer age is not free: workers read this much of the past again and again, because a commit can land that far
    /// behind them, and the file grows by everything committed while an old transaction is open.
    pub fn max_transaction_age(mut self, age: Duration) -> Self {
        self.max_transaction_age = age;
        self
    }

    /// How much of the file is kept in memory. Default 256 MiB. The machine's page cache holds it as well.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.disk.cache_bytes = bytes;
        self
    }

    /// How much is committed before it is flushed from memory and the log into the database file. Default 32 MiB. Up to
    /// four times as much can be in memory. A larger value makes flushes cheaper, and opening after a crash slower:
    /// about a second for 100 MiB.
    pub fn memtable_bytes(mut self, bytes: usize) -> Self {
        self.disk.memtable_bytes = bytes.max(1);
        self
    }

    /// The Unix modes of the directory and the files that opening creates, as far as the process's umask allows.
    /// Default: their owner alone, `0o700` and `0o600`. Existing files keep their modes. No effect on systems without
    /// such modes.
    ///
    /// ```
    /// # use tito_core::embedded::EmbeddedBackend;
    /// // The group can read the files, say to copy them while the database is closed.
    /// let options = EmbeddedBackend::builder().modes(0o750, 0o640);
    /// ```
    pub fn modes(mut self, directory: u32, files: u32) -> Self {
        self.disk.modes = Modes { directory, files };
        self
    }

    /// Opens the database in a directory, creating it if it does not exist.
    ///
    /// # Errors
    /// See [`EmbeddedBackend::open`].
    pub async fn open(self, path: impl AsRef<Path>) -> Result<Database> {
        self.start(path, Purpose::Use).await
    }

    /// Like [`open`](EmbeddedBuilder::open), but the database must exist: nothing is created. For tools, where a
    /// mistyped path should not create an empty database.
    ///
    /// # Errors
    /// The same, and [`TitoError::NoDatabase`].
    pub async fn open_existing(self, path: impl AsRef<Path>) -> Result<Database> {
        self.start(path, Purpose::Look).await
    }

    /// Like [`open_existing`](EmbeddedBuilder::open_existing), but only for reading: no byte of the directory is
    /// changed, and writes fail with [`TitoError::ReadOnly`]. Several processes can read it at once. One that opens it
    /// for writing meanwhile waits for them, up to ten seconds; so keep it short if an application may want to start.
    ///
    /// The log's contents, up to some hundred megabytes, are kept in memory.
    ///
    /// # Errors
    /// The same; [`TitoError::DatabaseInUse`] if somebody has it open for writing.
    pub async fn open_read_only(self, path: impl AsRef<Path>) -> Result<Database> {
        Ok(self.start(path, Purpose::Read).await?.read_only())
    }

    /// Opens a database that is being filled from elsewhere: the directory is empty, or has what has been filled in so
    /// far. Everybody else is refused until it is complete.
    ///
    /// # Errors
    /// Those of [`open`](EmbeddedBuilder::open), and [`TitoError::InvalidTarget`].
    pub async fn open_to_fill(self, path: impl AsRef<Path>, filling: &Filling) -> Result<Database> {
        self.start(path, Purpose::Fill(filling.clone())).await
    }

    pub(crate) async fn start(mut self, path: impl AsRef<Path>, purpose: Purpose) -> Result<Database> {
        self.disk.purpose = purpose;
        let path = path.as_ref().to_path_buf();
        // Fixed before anything is waited for: what a relative path names can change with the current directory.
        let path = std::path::absolute(path).map_err(|error| storage_failed("opening the database", error.into()))?;
        let (directory, options) = (path.clone(), self.disk.clone());
        EmbeddedBackend::start(self, Some(directory), move |on_flushed| opening::open(&path, &options, on_flushed))
            .await
            .map(Database::from_engine)
    }

    /// A new database in memory.
    ///
    /// # Errors
    /// [`TitoError::Storage`], if there is no memory or thread for it.
    pub async fn in_memory(self) -> Result<Database> {
        let DiskOptions { cache_bytes, memtable_bytes, .. } = self.disk;
        let open = move |on_flushed| {
            Storage::in_memory(cache_bytes, memtable_bytes, on_flushed).map_err(|error| storage_failed("open", error))
        };
        EmbeddedBackend::start(self, None, open).await.map(Database::from_engine)
    }
}
