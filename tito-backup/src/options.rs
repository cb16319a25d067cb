//! How a backup is taken.

use std::fmt;
use std::sync::Arc;

use tito_core::KeyText;

use crate::format::MOST_BYTES;

/// The progress of something that goes over all rows of a database, in the order of their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Rows so far.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// The last key so far.
    pub key: KeyText,
}

/// Receives the progress. Called between two blocks, so it should not take long.
pub(crate) type OnProgress = Arc<dyn Fn(&Progress) + Send + Sync>;

/// How a backup is taken. By default at up to 100 MiB a second, in blocks of about a mebibyte.
#[derive(Clone)]
#[must_use]
pub struct BackupOptions {
    pub(crate) bytes_per_second: Option<u64>,
    pub(crate) block_bytes: usize,
    pub(crate) on_progress: Option<OnProgress>,
}

impl Default for BackupOptions {
    fn default() -> Self {
        Self { bytes_per_second: Some(100 << 20), block_bytes: 1 << 20, on_progress: None }
    }
}

impl BackupOptions {
    /// How many bytes of keys and values are read per second at most, so that others keep their share of the disk and
    /// the processor. Measured over the whole backup, from its beginning. Default 100 MiB.
    pub fn bytes_per_second(mut self, bytes: u64) -> Self {
        self.bytes_per_second = Some(bytes.max(1));
        self
    }

    /// As fast as possible while nobody writes. As with a limit, a backup of an embedded database rests twice as long as
    /// it works while this process commits.
    pub fn unlimited(mut self) -> Self {
        self.bytes_per_second = None;
        self
    }

    /// Roughly how many bytes of keys and values a block has; a larger row is a block by itself. Two blocks are in
    /// memory at a time. Default 1 MiB; at most 1 GiB.
    pub fn block_bytes(mut self, bytes: usize) -> Self {
        self.block_bytes = bytes.clamp(1, MOST_BYTES);
        self
    }

    /// Calls `f` after each block.
    pub fn on_progress(mut self, tell: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.on_progress = Some(Arc::new(tell));
        self
    }
}

impl fmt::Debug for BackupOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupOptions")
            .field("bytes_per_second", &self.bytes_per_second)
            .field("block_bytes", &self.block_bytes)
            .finish_non_exhaustive()
    }
}
