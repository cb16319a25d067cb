//! Options of the embedded engine.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::storage::Storage;
use super::{EmbeddedBackend, blocking, directory};
use crate::clock::{Clock, SystemClock};
use crate::engine::Limits;
use crate::error::{Result, TitoError};

pub(super) const DEFAULT_CACHE_BYTES: usize = 256 << 20;
pub(super) const DEFAULT_MEMTABLE_BYTES: usize = 32 << 20;

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
    cache_bytes: usize,
    memtable_bytes: usize,
}

impl Default for EmbeddedBuilder {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            limits: Limits::default(),
            max_transaction_age: Duration::from_secs(30),
            cache_bytes: DEFAULT_CACHE_BYTES,
            memtable_bytes: DEFAULT_MEMTABLE_BYTES,
        }
    }
}

impl EmbeddedBuilder {
    /// The clock that timestamps follow. Default: the machine's.
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

    /// How old a transaction may become. An older one can't commit, and not read either once something else was
    /// committed. Default 30 s.
    ///
    /// Longer is not free: workers read the events of this much of the past again and again, because a commit can land
    /// that far behind them, and the file grows by what is committed while an old transaction is open.
    pub fn max_transaction_age(mut self, age: Duration) -> Self {
        self.max_transaction_age = age;
        self
    }

    /// How much of the file is kept in memory. Default 256 MiB. The machine's page cache holds it as well.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// How much is committed before it is merged from memory and the log into the database file. Default 32 MiB. Up to
    /// four times as much can be in memory. More makes merges cheaper, and opening after a crash slower: about a second
    /// for 100 MiB.
    pub fn memtable_bytes(mut self, bytes: usize) -> Self {
        self.memtable_bytes = bytes;
        self
    }

    /// Opens the database in a directory, which is created if it does not exist.
    ///
    /// # Errors
    /// See [`EmbeddedBackend::open`].
    pub async fn open(self, path: impl AsRef<Path>) -> Result<EmbeddedBackend> {
        let path = path.as_ref().to_path_buf();
        let directory = path.clone();
        let (cache_bytes, memtable_bytes) = (self.cache_bytes, self.memtable_bytes);
        let store = blocking("open", move || directory::open(&path, cache_bytes, memtable_bytes)).await?;
        EmbeddedBackend::start(self, Some(directory), Box::new(store)).await
    }

    /// A new database in memory.
    ///
    /// # Errors
    /// [`TitoError::Storage`], if there is no memory or thread for it.
    pub async fn in_memory(self) -> Result<EmbeddedBackend> {
        let store = Storage::in_memory(self.cache_bytes, self.memtable_bytes);
        let store = store.map_err(|source| TitoError::Storage { operation: "open", source })?;
        EmbeddedBackend::start(self, None, Box::new(store)).await
    }
}
