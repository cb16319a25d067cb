//! The embedded engine for the suite.

use tito_core::{Database, Result};

use super::EngineUnderTest;
use crate::settings::EngineSettings;
use crate::temporary::{self, TemporaryDatabase};

/// The embedded engine in memory.
#[derive(Debug)]
pub struct EmbeddedInMemory(Database);

impl EngineUnderTest for EmbeddedInMemory {
    async fn open(settings: EngineSettings) -> Result<Self> {
        temporary::in_memory_with(settings).await.map(Self)
    }

    fn database(&self) -> Database {
        self.0.clone()
    }

    async fn reopen(self, _settings: EngineSettings) -> Result<Option<Self>> {
        Ok(None)
    }
}

/// The embedded engine on a disk.
#[derive(Debug)]
pub struct EmbeddedOnDisk(TemporaryDatabase);

impl EngineUnderTest for EmbeddedOnDisk {
    async fn open(settings: EngineSettings) -> Result<Self> {
        temporary::on_disk_with(settings).await.map(Self)
    }

    fn database(&self) -> Database {
        self.0.database().clone()
    }

    async fn reopen(self, settings: EngineSettings) -> Result<Option<Self>> {
        Ok(Some(Self(self.0.reopen(settings).await?)))
    }
}
