//! Where a database lies.

use std::fmt;
use std::path::{Path, PathBuf};

use tito_core::embedded::EmbeddedBuilder;
use tito_core::engine::Filling;
#[cfg(feature = "tikv")]
use tito_core::tikv::TiKVBuilder;
use tito_core::{Database, Result};

/// Where a database is, or is to be.
#[derive(Clone)]
pub struct Place(Kind);

#[derive(Clone)]
enum Kind {
    Directory(PathBuf, Box<EmbeddedBuilder>),
    #[cfg(feature = "tikv")]
    Cluster(Box<TiKVBuilder>),
    Url(String),
}

impl Place {
    /// A directory of the embedded engine.
    pub fn directory(path: impl AsRef<Path>) -> Self {
        Self::directory_with(path, EmbeddedBuilder::default())
    }

    /// A directory of the embedded engine, with its options.
    pub fn directory_with(path: impl AsRef<Path>, options: EmbeddedBuilder) -> Self {
        Self(Kind::Directory(path.as_ref().to_path_buf(), Box::new(options)))
    }

    /// A TiKV cluster, or the part of it below the key prefix of the options.
    #[cfg(feature = "tikv")]
    pub fn cluster(options: TiKVBuilder) -> Self {
        Self(Kind::Cluster(Box::new(options)))
    }

    /// What a URL names, as [`Database::open`] takes it.
    pub fn url(url: impl Into<String>) -> Self {
        Self(Kind::Url(url.into()))
    }

    /// Opens the database, which must exist.
    ///
    /// # Errors
    /// [`NoDatabase`](tito_core::TitoError::NoDatabase), and those of the engine.
    pub async fn open(&self) -> Result<Database> {
        match &self.0 {
            Kind::Directory(path, options) => options.as_ref().clone().open_existing(path).await,
            #[cfg(feature = "tikv")]
            Kind::Cluster(options) => options.as_ref().clone().connect_existing().await,
            Kind::Url(url) => Database::open_existing(url).await,
        }
    }

    /// Opens the database, which must exist, for reading only: nothing of it is changed. As
    /// [`Database::open_read_only`] says.
    ///
    /// # Errors
    /// Those of [`open`](Place::open); [`ReadOnly`](tito_core::TitoError::ReadOnly) of what writes.
    pub async fn open_read_only(&self) -> Result<Database> {
        match &self.0 {
            Kind::Directory(path, options) => options.as_ref().clone().open_read_only(path).await,
            #[cfg(feature = "tikv")]
            Kind::Cluster(options) => Ok(options.as_ref().clone().connect_existing().await?.read_only()),
            Kind::Url(url) => Database::open_read_only(url).await,
        }
    }

    pub(crate) async fn open_to_fill(&self, filling: &Filling) -> Result<Database> {
        match &self.0 {
            Kind::Directory(path, options) => options.as_ref().clone().open_to_fill(path, filling).await,
            #[cfg(feature = "tikv")]
            Kind::Cluster(options) => options.as_ref().clone().connect_to_fill(filling).await,
            Kind::Url(url) => Database::open_to_fill(url, filling).await,
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Directory(path, _) => f.debug_tuple("Directory").field(path).finish(),
            #[cfg(feature = "tikv")]
            Kind::Cluster(_) => f.debug_tuple("Cluster").finish_non_exhaustive(),
            // Not as it is: there may be something secret in it.
            Kind::Url(_) => f.debug_tuple("Url").finish_non_exhaustive(),
        }
    }
}
