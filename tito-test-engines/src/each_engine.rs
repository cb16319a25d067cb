//! Facts about every engine, compiled once and run on each.

use futures::future::LocalBoxFuture;
use tito_core::Database;

use crate::clock::TestClock;
use crate::conformance::{EmbeddedInMemory, EmbeddedOnDisk, Opener, run, run_on_one_thread};
use crate::settings::EngineSettings;

/// How the engines of the suites are opened.
pub const IN_MEMORY: Opener = Opener::of::<EmbeddedInMemory>();
/// See [`IN_MEMORY`].
pub const ON_DISK: Opener = Opener::of::<EmbeddedOnDisk>();
/// See [`IN_MEMORY`].
#[cfg(feature = "tikv")]
pub const ON_TIKV: Opener = Opener::of::<crate::conformance::OnTiKV>();

/// A fact that holds on every engine.
#[derive(Clone, Copy, Debug)]
pub struct Fact(Kind);

#[derive(Clone, Copy, Debug)]
enum Kind {
    WithClock(fn(Database, TestClock) -> LocalBoxFuture<'static, ()>),
    WithoutClock(fn(Database) -> LocalBoxFuture<'static, ()>),
}

impl Fact {
    /// A fact that moves its database's clock.
    pub const fn with_clock(fact: fn(Database, TestClock) -> LocalBoxFuture<'static, ()>) -> Self {
        Self(Kind::WithClock(fact))
    }

    /// A fact that doesn't depend on time.
    pub const fn without_clock(fact: fn(Database) -> LocalBoxFuture<'static, ()>) -> Self {
        Self(Kind::WithoutClock(fact))
    }

    /// Runs it on an empty database.
    ///
    /// # Panics
    /// If it does not hold, or the engine can't be opened.
    pub fn check(self, engine: Opener) {
        let clock = TestClock::new();
        match self.0 {
            Kind::WithClock(fact) => run_on_one_thread(Box::pin(async move {
                let settings = EngineSettings::default().test_clock(&clock);
                let database = engine.open(settings).await.expect("an engine for the fact");
                fact(database.database(), clock).await;
            })),
            Kind::WithoutClock(fact) => run(Box::pin(async move {
                let database = engine.open(EngineSettings::default()).await.expect("an engine for the fact");
                fact(database.database()).await;
            })),
        }
    }
}

/// What `#[fact]` expands to: the tests of one fact.
#[cfg(feature = "tikv")]
#[doc(hidden)]
#[macro_export]
macro_rules! on_each_engine {
    ($kind:ident($fact:expr)) => {
        $crate::__on_embedded_engines!($kind($fact));

        #[test]
        fn on_tikv() {
            FACT.check($crate::each_engine::ON_TIKV);
        }
    };
}

/// What `#[fact]` expands to: the tests of one fact.
#[cfg(not(feature = "tikv"))]
#[doc(hidden)]
#[macro_export]
macro_rules! on_each_engine {
    ($kind:ident($fact:expr)) => {
        $crate::__on_embedded_engines!($kind($fact));
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __on_embedded_engines {
    ($kind:ident($fact:expr)) => {
        const FACT: $crate::each_engine::Fact = $crate::each_engine::Fact::$kind($fact);

        #[test]
        fn in_memory() {
            FACT.check($crate::each_engine::IN_MEMORY);
        }

        #[test]
        fn on_disk() {
            FACT.check($crate::each_engine::ON_DISK);
        }
    };
}
