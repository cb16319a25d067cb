//! How a fact opens its engine, of whatever type: facts are compiled once for all engines.

use std::fmt;

use futures::FutureExt;
use futures::future::BoxFuture;
use tito_core::{Database, Result};

use super::EngineUnderTest;
use crate::settings::EngineSettings;

/// Opens empty databases of one engine.
#[derive(Clone, Copy, Debug)]
pub struct Opener(fn(EngineSettings) -> BoxFuture<'static, Result<Opened>>);

impl Opener {
    /// For an engine of this type.
    pub const fn of<U: EngineUnderTest>() -> Self {
        Self(|settings| async { U::open(settings).await.map(Opened::new) }.boxed())
    }

    /// Opens one.
    ///
    /// # Errors
    /// Those of [`EngineUnderTest::open`].
    pub async fn open(self, settings: EngineSettings) -> Result<Opened> {
        (self.0)(settings).await
    }
}

/// A database for a fact.
pub struct Opened(Box<dyn AnyEngine>);

trait AnyEngine: Send + Sync {
    fn database(&self) -> Database;
    fn reopen(self: Box<Self>, settings: EngineSettings) -> BoxFuture<'static, Result<Option<Opened>>>;
}

impl<U: EngineUnderTest> AnyEngine for U {
    fn database(&self) -> Database {
        EngineUnderTest::database(self)
    }

    fn reopen(self: Box<Self>, settings: EngineSettings) -> BoxFuture<'static, Result<Option<Opened>>> {
        async { Ok(EngineUnderTest::reopen(*self, settings).await?.map(Opened::new)) }.boxed()
    }
}

impl Opened {
    fn new(engine: impl EngineUnderTest) -> Self {
        Self(Box::new(engine))
    }

    /// The database.
    pub fn database(&self) -> Database {
        self.0.database()
    }

    /// Like [`EngineUnderTest::reopen`].
    ///
    /// # Errors
    /// Those of [`EngineUnderTest::reopen`].
    pub async fn reopen(self, settings: EngineSettings) -> Result<Option<Self>> {
        self.0.reopen(settings).await
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Opened").field(&self.database()).finish()
    }
}
