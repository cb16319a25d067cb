//! Embedded engines that leave nothing behind.

use std::path::Path;

use tempfile::TempDir;
use tito_core::TitoError;
use tito_core::embedded::{EmbeddedBackend, EmbeddedBuilder};
use tito_core::{Database, Result};

use crate::settings::EngineSettings;

/// An empty embedded engine in memory: the fastest one for tests.
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

/// Like [`in_memory`], with settings.
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
/// database.database().transaction(|tx| async move { tx.put(b"greeting".to_vec(), b"hello".to_vec()).await }).await?;
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

/// Like [`on_disk`], with settings.
///
/// # Errors
/// Those of [`on_disk`].
pub async fn on_disk_with(settings: EngineSettings) -> Result<TemporaryDatabase> {
    let directory = TempDir::new()
        .map_err(|source| TitoError::Storage { operation: "making a temporary directory", source: source.into() })?;
    TemporaryDatabase::open(directory, settings).await
}

/// An embedded engine and its database's temporary directory. Dropping it closes the engine, whatever clones of it
/// remain, and removes the directory.
#[derive(Debug)]
pub struct TemporaryDatabase {
    // Declared before the directory, so that the engine is closed when the directory goes.
    engine: ClosedWhenDropped,
    directory: TempDir,
}

impl TemporaryDatabase {
    async fn open(directory: TempDir, settings: EngineSettings) -> Result<Self> {
        let engine = builder(settings).open(directory.path()).await?;
        Ok(Self { engine: ClosedWhenDropped(engine), directory })
    }

    /// The engine.
    pub fn database(&self) -> &Database {
        &self.engine.0
    }

    /// The directory of the database.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Closes the engine, whatever clones of it remain, and opens the same database again.
    ///
    /// # Errors
    /// Those of [`EmbeddedBackend::open`].
    pub async fn reopen(self, settings: EngineSettings) -> Result<Self> {
        let Self { engine, directory } = self;
        engine.0.close().await;
        Self::open(directory, settings).await
    }
}

/// An engine that has closed its files once this is dropped. It still writes some while closing, and they would keep
/// their directory from being removed.
#[derive(Debug)]
struct ClosedWhenDropped(Database);

impl Drop for ClosedWhenDropped {
    fn drop(&mut self) {
        let engine = self.0.clone();
        // On a separate thread: a task that waits for another future may have used up its budget with the runtime.
        let closing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.map(|runtime| runtime.block_on(engine.close()))
        });
        // The directory is removed whatever the result.
        let _ = closing.join();
    }
}

fn builder(settings: EngineSettings) -> EmbeddedBuilder {
    EmbeddedBackend::builder()
        .clock(settings.clock)
        .limits(settings.limits)
        .max_transaction_age(settings.max_transaction_age)
}
