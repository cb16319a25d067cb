//! How the API is set up: not without a choice of who may come in.

use std::sync::Arc;

use axum::Router;
use axum::http::request::Parts;
use serde_json::Value;
use tito_core::Database;
use tito_worker::TitoQueue;
use tokio::sync::Semaphore;

use crate::access::{Access, Functions, Tokens};
use crate::api::Role;
use crate::app::App;
use crate::error::ConsoleError;
use crate::limits::ConsoleLimits;
use crate::redact::{Redact, Redacted};
use crate::routes;

/// The API of a database: [`Console::of`] begins to set it up.
#[derive(Debug)]
pub struct Console(());

/// Nobody has said yet who may come in.
#[derive(Clone, Copy, Debug)]
pub struct Unguarded(());

/// Whoever has one of some tokens may come in.
#[derive(Debug)]
pub struct ByTokens(Tokens);

/// The application says who may come in.
#[derive(Debug)]
pub struct ByApplication(Functions);

/// Sets the API up. Without [`token`](ConsoleBuilder::token) or [`access`](ConsoleBuilder::access) there is no
/// [`router`](ConsoleBuilder::router):
///
/// ```compile_fail
/// # fn example(db: tito_core::Database) {
/// let router = tito_console::Console::of(&db).router();
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct ConsoleBuilder<By = Unguarded> {
    database: Database,
    by: By,
    limits: ConsoleLimits,
    redact: Redact,
}

impl Console {
    /// Begins to set the API of a database up.
    pub fn of(database: &Database) -> ConsoleBuilder<Unguarded> {
        ConsoleBuilder {
            database: database.clone(),
            by: Unguarded(()),
            limits: ConsoleLimits::default(),
            redact: Redact::default(),
        }
    }
}

impl<By> ConsoleBuilder<By> {
    /// How large requests may be, and how long they may take.
    pub fn limits(mut self, limits: ConsoleLimits) -> Self {
        self.limits = limits;
        self
    }

    /// What is shown of payloads, progress, headers, errors and stored bytes: the function is given each before it is
    /// sent, and what it returns is sent. A backup is not shown but taken along, and not redacted.
    ///
    /// ```
    /// # use tito_console::{Console, Part};
    /// # fn example(db: tito_core::Database) {
    /// let console = Console::of(&db).redact(|what, value| match what.part {
    ///     Part::Payload | Part::Bytes => serde_json::json!("hidden"),
    ///     _ => value,
    /// });
    /// # }
    /// ```
    pub fn redact(mut self, function: impl Fn(&Redacted<'_>, Value) -> Value + Send + Sync + 'static) -> Self {
        self.redact = Redact::by(function);
        self
    }

    fn by<Other>(self, by: impl FnOnce(By) -> Other) -> ConsoleBuilder<Other> {
        let Self { database, by: before, limits, redact } = self;
        ConsoleBuilder { database, by: by(before), limits, redact }
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn routes(self, access: impl FnOnce(By) -> Access) -> Router {
        let queue = TitoQueue::new(self.database.clone());
        let calls = Semaphore::new(self.limits.calls);
        let Self { database, by, limits, redact } = self;
        routes::router(Arc::new(App { database, queue, access: access(by), limits, redact, calls }))
    }
}

impl ConsoleBuilder<Unguarded> {
    /// Lets in whoever has this token, with a role. Callers send `Authorization: Bearer TOKEN`; the name is what the audit
    /// knows them by. The token has 16 bytes at least, is kept as its SHA-256 and compared in constant time, so it has to be
    /// random, not a word.
    ///
    /// ```
    /// # use tito_console::{Console, api::Role};
    /// # fn example(db: tito_core::Database, secret: &str) -> Result<(), tito_console::ConsoleError> {
    /// let router = Console::of(&db).token("grafana", Role::Read, secret).router()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn token(self, name: impl Into<String>, role: Role, secret: impl AsRef<str>) -> ConsoleBuilder<ByTokens> {
        self.by(|_| ByTokens(Tokens::default())).token(name, role, secret)
    }

    /// Lets in whom the application knows: `who` says who it is by the head of a request, such as by a session that a layer
    /// of the application has put into its extensions, and `may` what they may do. `None` is nobody, or nothing.
    ///
    /// A request that a browser sends for a page of another site is refused, by `Sec-Fetch-Site`.
    pub fn access(
        self,
        who: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static,
        may: impl Fn(&str) -> Option<Role> + Send + Sync + 'static,
    ) -> ConsoleBuilder<ByApplication> {
        self.by(|_| ByApplication(Functions::new(who, may)))
    }
}

impl ConsoleBuilder<ByTokens> {
    /// Lets in whoever has this token, too.
    pub fn token(self, name: impl Into<String>, role: Role, secret: impl AsRef<str>) -> Self {
        self.by(|ByTokens(tokens)| ByTokens(tokens.and(name.into(), role, secret.as_ref())))
    }

    /// The API as a router, to be served, or nested in the application's own.
    ///
    /// # Errors
    /// [`ConsoleError`].
    pub fn router(self) -> Result<Router, ConsoleError> {
        self.by.0.check()?;
        Ok(self.routes(|ByTokens(tokens)| Access::Tokens(tokens)))
    }
}

impl ConsoleBuilder<ByApplication> {
    /// The API as a router, to be served, or nested in the application's own.
    pub fn router(self) -> Router {
        self.routes(|ByApplication(functions)| Access::Functions(functions))
    }
}
