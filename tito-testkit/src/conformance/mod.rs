//! The conformance suite: what every engine keeps, one test a fact.
//!
//! An engine is added by telling how it is opened, and one line. This runs the whole suite as tests of the module
//! `in_memory`:
//!
//! ```no_run
//! use tito_testkit::conformance::EmbeddedInMemory;
//!
//! tito_testkit::conformance!(in_memory, EmbeddedInMemory);
//! # fn main() {}
//! ```
//!
//! For an engine of one's own:
//!
//! ```no_run
//! use tito_core::Result;
//! use tito_core::embedded::EmbeddedBackend;
//! use tito_testkit::EngineSettings;
//! use tito_testkit::conformance::EngineUnderTest;
//!
//! struct Mine(EmbeddedBackend);
//!
//! impl EngineUnderTest for Mine {
//!     type Engine = EmbeddedBackend;
//!
//!     async fn open(settings: EngineSettings) -> Result<Self> {
//!         Ok(Self(tito_testkit::in_memory_with(settings).await?))
//!     }
//!
//!     fn engine(&self) -> EmbeddedBackend {
//!         self.0.clone()
//!     }
//!
//!     async fn reopen(self, _settings: EngineSettings) -> Result<Option<Self>> {
//!         Ok(None)
//!     }
//! }
//!
//! tito_testkit::conformance!(mine, Mine);
//! # fn main() {}
//! ```

use std::future::Future;

use tito_core::{Result, TitoEngine};

use crate::settings::EngineSettings;

mod embedded;
mod list;
mod support;

pub use embedded::{EmbeddedInMemory, EmbeddedOnDisk};

#[doc(hidden)]
pub mod facts;

/// An engine that the suite can open.
pub trait EngineUnderTest: Sized + Send + Sync + 'static {
    /// The engine.
    type Engine: TitoEngine;

    /// Opens an empty database of its own. The value keeps it, and removes it when dropped.
    ///
    /// # Errors
    /// Fails the test.
    fn open(settings: EngineSettings) -> impl Future<Output = Result<Self>> + Send;

    /// The engine of this database.
    fn engine(&self) -> Self::Engine;

    /// Closes the database as a program's end does, and opens the same one again. None for an engine whose data does
    /// not outlive it: the facts about reopening then say nothing.
    ///
    /// # Errors
    /// Fails the test.
    fn reopen(self, settings: EngineSettings) -> impl Future<Output = Result<Option<Self>>> + Send;
}

/// Runs one fact on a runtime of its own, so that users of the suite need none.
#[doc(hidden)]
#[allow(clippy::expect_used, reason = "a test that gets no runtime can only fail")]
pub fn run(fact: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a tokio runtime").block_on(fact);
}
