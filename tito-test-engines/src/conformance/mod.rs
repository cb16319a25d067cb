//! The conformance suite: what every engine guarantees, with one test per fact.
//!
//! To add an engine, say how to open it and add one line. This runs the whole suite as tests of the module `in_memory`:
//!
//! ```no_run
//! # use tito_test_engines as tito_testkit;
//! use tito_testkit::conformance::EmbeddedInMemory;
//!
//! tito_testkit::conformance!(in_memory, EmbeddedInMemory);
//! # fn main() {}
//! ```
//!
//! For your own engine:
//!
//! ```no_run
//! # use tito_test_engines as tito_testkit;
//! use tito_core::{Database, Result};
//! use tito_testkit::EngineSettings;
//! use tito_testkit::conformance::EngineUnderTest;
//!
//! struct Mine(Database);
//!
//! impl EngineUnderTest for Mine {
//!     async fn open(settings: EngineSettings) -> Result<Self> {
//!         Ok(Self(tito_testkit::in_memory_with(settings).await?))
//!     }
//!
//!     fn database(&self) -> Database {
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
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures::FutureExt;
use tito_core::{Database, Result};
use tokio::runtime::Builder;

use crate::clock::ClockCannotBeTurned;
use crate::settings::EngineSettings;
use crate::settings::REAL_CLUSTER;

mod embedded;
mod list;
mod opener;
mod support;
#[cfg(feature = "tikv")]
mod tikv;

pub use embedded::{EmbeddedInMemory, EmbeddedOnDisk};
#[doc(hidden)]
pub use list::{check, names};
#[doc(hidden)]
pub use opener::{Opened, Opener};
#[cfg(feature = "tikv")]
pub use tikv::OnTiKV;

#[doc(hidden)]
pub mod facts;

/// An engine that the suite can open.
pub trait EngineUnderTest: Sized + Send + Sync + 'static {
    /// Opens an empty database of its own. The value owns it, and removes it when dropped.
    ///
    /// # Errors
    /// Fails the test.
    fn open(settings: EngineSettings) -> impl Future<Output = Result<Self>> + Send;

    /// The database.
    fn database(&self) -> Database;

    /// Closes the database as the end of a program does, and opens the same one again. `None` for an engine whose data
    /// does not outlive it: the facts about reopening then check nothing.
    ///
    /// # Errors
    /// Fails the test.
    fn reopen(self, settings: EngineSettings) -> impl Future<Output = Result<Option<Self>>> + Send;
}

/// Runs one fact on a runtime of its own with two threads, so users of the suite need none.
#[doc(hidden)]
pub fn run(fact: impl Future<Output = ()>) {
    run_on(Builder::new_multi_thread().worker_threads(2), fact);
}

/// Like [`run`], on a single-threaded runtime, for facts that move a clock while a task alongside waits for it.
#[doc(hidden)]
pub fn run_on_one_thread(fact: impl Future<Output = ()>) {
    run_on(&mut Builder::new_current_thread(), fact);
}

/// How long a fact may take on a real cluster, where nothing may hang: far longer than any takes.
const LONGEST: Duration = Duration::from_secs(300);

/// A fact that moves the clock is skipped on an engine whose clock can't be moved.
#[allow(clippy::print_stdout, reason = "tests say what they pass over")]
fn run_on(runtime: &mut Builder, fact: impl Future<Output = ()>) {
    let runtime = runtime.enable_all().build().expect("a tokio runtime");
    let fact = async {
        // In process, whoever runs the tests ends one that hangs: no time limit fails it.
        match std::env::var_os(REAL_CLUSTER) {
            Some(_) => tokio::time::timeout(LONGEST, fact).await.expect("a fact that ends on a real cluster"),
            None => fact.await,
        }
    };
    if let Err(panic) = runtime.block_on(AssertUnwindSafe(fact).catch_unwind()) {
        if !panic.is::<ClockCannotBeTurned>() {
            resume_unwind(panic);
        }
        println!("passed over: this engine's clock can't be stopped or turned by hand");
    }
}
