//! How the API is set up: only with a choice of who may come in.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::request::Parts;
use serde_json::Value;
use tito_core::Database;
use tito_eventstore::Manager;
use tito_worker::TitoQueue;
use tokio::sync::Semaphore;

use crate::access::{Access, Functions, Tokens};
use crate::api::Role;
use crate::app::App;
use crate::audit::Audit;
use crate::checks::Checks;
use crate::error::ConsoleError;
use crate::limits::ConsoleLimits;
use crate::redact::{Redact, Redacted};
use crate::routes;
use crate::watch::Watch;

/// How many backups are under way at once.
const BACKUPS: usize = 2;

/// How many verifications are under way at once.
const VERIFICATIONS: usize = 1;

/// The API of a database: [`Console::of`] begins to set it up.
#[derive(Debug)]
pub struct Console(());

/// Nobody has said yet who may come in.
#[derive(Clone, Copy, Debug)]
pub struct Unguarded(());

/// Whoever has one of the tokens may come in.
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
    manager: Option<Manager>,
    audit_age: Option<Duration>,
    checks: Checks,
    watch: Option<Watch>,
}

impl Console {
    /// Begins to set the API of a database up.
    pub fn of(database: &Database) -> ConsoleBuilder<Unguarded> {
        ConsoleBuilder {
            database: database.clone(),
            by: Unguarded(()),
            limits: ConsoleLimits::default(),
            redact: Redact::default(),
            manager: None,
            audit_age: None,
            checks: Checks::default(),
            watch: None,
        }
    }
}

impl<By> ConsoleBuilder<By> {
    /// How large requests may be, and how long they may take.
    pub fn limits(mut self, limits: ConsoleLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Redacts payloads, progress, headers, errors and stored bytes: the function gets each before it is sent, and what
    /// it returns is sent. A backup is not redacted.
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

    /// The application's manager of event stores: appends of one process share transactions if they come from one. With its
    /// types, events are shown in their latest versions.
    pub fn event_stores(mut self, manager: &Manager) -> Self {
        self.manager = Some(manager.clone());
        self
    }

    /// How long the API's audit is kept: 90 days by default. For an existing audit, change the store
    /// [`AUDIT_STORE`](crate::AUDIT_STORE).
    pub fn audit_age(mut self, age: Duration) -> Self {
        self.audit_age = Some(age);
        self
    }

    /// A check that must pass for `/ready`: `Err` says in a few words what is wrong, to whoever asks. It is called at
    /// each request, so it should be quick.
    ///
    /// ```
    /// # use tito_console::Console;
    /// # async fn example(db: tito_core::Database, worker: tito_worker::Worker) {
    /// let running = tokio::spawn(async move { worker.run(std::future::pending()).await });
    /// let console = Console::of(&db).ready("worker", move || match running.is_finished() {
    ///     false => Ok(()),
    ///     true => Err("it has ended".to_string()),
    /// });
    /// # }
    /// ```
    pub fn ready(
        mut self,
        name: impl Into<String>,
        is_well: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.checks.own.push((name.into(), Box::new(is_well)));
        self
    }

    /// Has `/ready` look at how long the oldest event of a queue has been due: not longer than `most`. That reads the first
    /// events of each partition, once a second at the most, however many ask.
    pub fn ready_lag(mut self, queue: impl Into<String>, most: Duration) -> Self {
        self.checks.lags.push((queue.into(), most));
        self
    }

    /// Shows at `/v1/watch` what the workers observed by `watch` do.
    pub fn watch(mut self, watch: &Watch) -> Self {
        self.watch = Some(watch.clone());
        self
    }

    fn by<Other>(self, by: impl FnOnce(By) -> Other) -> ConsoleBuilder<Other> {
        let Self { database, by: before, limits, redact, manager, audit_age, checks, watch } = self;
        ConsoleBuilder { database, by: by(before), limits, redact, manager, audit_age, checks, watch }
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn routes(self, access: impl FnOnce(By) -> Access) -> Router {
        let queue = TitoQueue::new(self.database.clone());
        let calls = Semaphore::new(self.limits.calls);
        let streams = Arc::new(Semaphore::new(self.limits.streams));
        let (backups, verifications) = (Arc::new(Semaphore::new(BACKUPS)), Arc::new(Semaphore::new(VERIFICATIONS)));
        let Self { database, by, limits, redact, manager, audit_age, checks, watch } = self;
        let manager = manager.unwrap_or_else(|| Manager::new(database.clone()));
        let (access, audit) = (access(by), Audit::by(manager));
        let audit = audit_age.map_or(audit.clone(), |age| audit.age(age));
        let app = App {
            database,
            queue,
            access,
            limits,
            redact,
            calls,
            streams,
            backups,
            verifications,
            audit,
            checks,
            watch,
        };
        routes::router(Arc::new(app))
    }
}

impl ConsoleBuilder<Unguarded> {
    /// Lets in whoever has this token, with a role. Callers send `Authorization: Bearer TOKEN`; the name identifies
    /// them in the audit. The token has at least 16 bytes, is kept as its SHA-256 and compared in constant time; it
    /// must be random, not a word.
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

    /// Lets in users whom the application knows: `who` identifies them by the head of a request, such as by a session
    /// that a layer of the application has put into its extensions, and `may` says what they may do. `None` means
    /// nobody, or nothing.
    ///
    /// A request that a browser sends for a page of another site is refused, by `Sec-Fetch-Site`, and one that changes
    /// something also by an `Origin` that is not the `Host`. So a proxy in front of it must pass on the original
    /// `Host`.
    pub fn access(
        self,
        who: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static,
        may: impl Fn(&str) -> Option<Role> + Send + Sync + 'static,
    ) -> ConsoleBuilder<ByApplication> {
        self.by(|_| ByApplication(Functions::new(who, may)))
    }
}

impl ConsoleBuilder<ByTokens> {
    /// Also lets in whoever has this token.
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
