//! Embedded engines that leave nothing behind.

use std::path::Path;

use tempfile::TempDir;
use tito_core::TitoError;
use tito_core::embedded::{EmbeddedBackend, EmbeddedBuilder};
use tito_core::{Database, Result};

use crate::settings::EngineSettings;

/// An empty embedded engine in memory: the quickest one for tests.
///
/// ```
/// # use tito_test_engines as tito_testkit;
/// use tito_core::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), TitoError> {
/// let db = tito_testkit::in_memory().await?;
/// db.transaction(|tx| async move { tx.put(b"greeting".to_vec(), b"hello".to_vec()).await }).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Those of [`EmbeddedBackend::in_memory`].
pub async fn in_memory() -> Result<Database> {
    in_memory_with(EngineSettings::default()).await
}

/// As [`in_memory`], with settings.
///
/// # Errors
/// Those of [`EmbeddedBackend::in_memory`].
pub async fn in_memory_with(settings: EngineSettings) -> Result<Database> {
    builder(settings).in_memory().await
}

/// An empty embedded engine in a temporary directory, for tests of what survives closing.
///
/// ```
/// # use tito_test_engines as tito_testkit;
/// use tito_core::prelude::*;
/// use tito_testkit::EngineSettings;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), TitoError> {
/// let database = tito_testkit::on_disk().await?;
/// let put = |tx: Transaction| async move {
///     tx.put(b"greeting".to_vec(), b"hello".to_vec()).await
/// };
/// database.database().transaction(put).await?;
///
/// let database = database.reopen(EngineSettings::default()).await?;
/// let tx = database.database().begin().await?;
/// assert_eq!(tx.get(b"greeting").await?, Some(b"hello".to_vec()));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Those of [`EmbeddedBackend::open`]; [`TitoError::Storage`] if the system gives no temporary directory.
pub async fn on_disk() -> Result<TemporaryDatabase> {
    on_disk_with(EngineSettings::default()).await
}

/// As [`on_disk`], with settings.
///
/// # Errors
/// As [`on_disk`].
pub async fn on_disk_with(settings: EngineSettings) -> Result<TemporaryDatabase> {
    let directory = TempDir::new()
        .map_err(|source| TitoError::Storage { operation: "making a temporary directory", source: source.into() })?;
    TemporaryDatabase::open(directory, settings).await
}

/// An embedded engine and the temporary directory of its database, which is removed with this value.
#[derive(Debug)]
pub struct TemporaryDatabase {
    // Before the directory, so that the engine goes first when both are dropped.
    engine: Database,
    directory: TempDir,
}

impl TemporaryDatabase {
    async fn open(directory: TempDir, settings: EngineSettings) -> Result<Self> {
        let engine = builder(settings).open(directory.path()).await?;
        Ok(Self { engine, directory })
    }

    /// The engine.
    pub fn database(&self) -> &Database {
        &self.engine
    }

    /// The directory of the database.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Closes the engine, whatever clones of it are left, and opens the same database again.
    ///
    /// # Errors
    /// Those of [`EmbeddedBackend::open`].
    pub async fn reopen(self, settings: EngineSettings) -> Result<Self> {
        let Self { engine, directory } = self;
        engine.close().await;
        Self::open(directory, settings).await
    }
}

fn builder(settings: EngineSettings) -> EmbeddedBuilder {
    EmbeddedBackend::builder()
        .clock(settings.clock)
        .limits(settings.limits)
        .max_transaction_age(settings.max_transaction_age)
}
