//! The embedded engine for the suite.

use tito_core::Result;
use tito_core::embedded::EmbeddedBackend;

use super::EngineUnderTest;
use crate::settings::EngineSettings;
use crate::temporary::{self, TemporaryDatabase};

/// The embedded engine in memory.
#[derive(Debug)]
pub struct EmbeddedInMemory(EmbeddedBackend);

impl EngineUnderTest for EmbeddedInMemory {
    type Engine = EmbeddedBackend;

    async fn open(settings: EngineSettings) -> Result<Self> {
        temporary::in_memory_with(settings).await.map(Self)
    }

    fn engine(&self) -> EmbeddedBackend {
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
    type Engine = EmbeddedBackend;

    async fn open(settings: EngineSettings) -> Result<Self> {
        temporary::on_disk_with(settings).await.map(Self)
    }

    fn engine(&self) -> EmbeddedBackend {
        self.0.engine().clone()
    }

    async fn reopen(self, settings: EngineSettings) -> Result<Option<Self>> {
        Ok(Some(Self(self.0.reopen(settings).await?)))
    }
}
