//! One request: who asks, and what goes with it. Every handler of the API takes one, and has nothing else to get at the
//! database by, so that none forgets to ask who it is.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use tito_eventstore::Manager;
use tito_worker::{Operator, TitoQueue};
use tokio::sync::Semaphore;

use crate::access::Who;
use crate::api::{Change, Code, Role};
use crate::app::App;
use crate::audit::AuditedChange;
use crate::failure::{Answer, Failure};
use crate::input::{self, Nothing};
use crate::lines::Heartbeat;
use crate::redact::Redact;
use crate::shown::Shown;
use crate::watch::Watch;

/// The most bytes of a reason.
const LONGEST_WHY: usize = 1_000;

/// What a handler needs of whoever asks.
pub(crate) trait Needs: Send + Sync + 'static {
    const ROLE: Role;
}

/// Needs somebody who may look.
#[derive(Debug)]
pub(crate) struct Read;

/// Needs somebody who may change what can be changed again.
#[derive(Debug)]
pub(crate) struct Operate;

/// Needs somebody who may delete for good.
#[derive(Debug)]
pub(crate) struct Destroy;

impl Needs for Read {
    const ROLE: Role = Role::Read;
}

impl Needs for Operate {
    const ROLE: Role = Role::Operate;
}

impl Needs for Destroy {
    const ROLE: Role = Role::Destroy;
}

#[derive(Debug)]
pub(crate) struct Call<R, Q = Nothing> {
    app: Arc<App>,
    who: Who,
    /// The topic or store that the path names.
    of: String,
    change: Change,
    /// What a change takes in its query beside what every one takes; of what only reads see [`Asked`](input::Asked).
    pub(crate) asked: Q,
    needs: PhantomData<R>,
}

impl<R: Needs, Q: DeserializeOwned> FromRequestParts<Arc<App>> for Call<R, Q> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Answer<Self> {
        let who = app.access.who(parts)?;
        if who.role < R::ROLE {
            let (name, has, needs) = (&who.name, who.role, R::ROLE);
            let message = format!("{name:?} has the role {has}, this needs {needs}");
            return Err(Failure::new(Code::Forbidden, message));
        }
        let of = input::of_path(parts).await;
        // What only reads takes its query elsewhere.
        let query = parts.uri.query().filter(|_| R::ROLE != Role::Read).unwrap_or_default();
        let (change, asked) = input::change(query)?;
        if change.why.as_ref().is_some_and(|why| why.len() > LONGEST_WHY) {
            return Err(Failure::invalid(format!("`why` has more than {LONGEST_WHY} bytes")));
        }
        Ok(Self { app: app.clone(), who, of, change, asked, needs: PhantomData })
    }
}

impl<R, Q> Call<R, Q> {
    pub(crate) fn queue(&self) -> &TitoQueue {
        &self.app.queue
    }

    pub(crate) fn manager(&self) -> &Manager {
        &self.app.audit.manager
    }

    pub(crate) fn streams(&self) -> &Arc<Semaphore> {
        &self.app.streams
    }

    pub(crate) fn backups(&self) -> &Arc<Semaphore> {
        &self.app.backups
    }

    pub(crate) fn verifications(&self) -> &Arc<Semaphore> {
        &self.app.verifications
    }

    /// How long something may take that reads everything.
    pub(crate) fn walk_time(&self) -> Duration {
        self.app.limits.walk_time
    }

    pub(crate) fn watch(&self) -> Option<&Watch> {
        self.app.watch.as_ref()
    }

    pub(crate) fn redact(&self) -> &Redact {
        &self.app.redact
    }

    /// How often a quiet answer says that it goes on.
    pub(crate) fn heartbeat(&self) -> Heartbeat {
        Heartbeat { database: self.app.database.clone(), interval: self.app.limits.heartbeat }
    }

    /// How long this request may take.
    pub(crate) fn read_time(&self) -> Duration {
        self.app.limits.read_time
    }

    pub(crate) fn shown(&self) -> Shown<'_> {
        Shown::by(&self.app.redact)
    }

    pub(crate) fn who(&self) -> &Who {
        &self.who
    }

    /// Whether nothing is to be done, and what would be is to be counted.
    pub(crate) fn is_rehearsal(&self) -> bool {
        self.change.dry_run
    }

    /// Makes a change, and says so to whoever looks after the database.
    ///
    /// `what` names the kind of change, and `of` what it is done to.
    pub(crate) async fn change<T>(
        &self,
        what: &'static str,
        of: &str,
        run: impl Future<Output = Answer<T>> + Send,
    ) -> Answer<T> {
        let asked = self.begin(what, of).await?;
        let answer = run.await;
        self.ended(asked, answer.as_ref().err()).await;
        answer
    }

    /// Notes a change that is about to be made; as [`change`](Call::change) for what goes on after its answer has begun.
    pub(crate) async fn begin(&self, what: &'static str, of: &str) -> Answer<AuditedChange> {
        if self.is_rehearsal() {
            return Err(Failure::invalid("this can't be rehearsed: ask without `dry_run`"));
        }
        Ok(self.app.audit.asked(&self.operator(), what, of).await)
    }

    /// Notes what came of a change: of its error as much as is shown.
    pub(crate) async fn ended(&self, change: AuditedChange, failure: Option<&Failure>) {
        let shown = failure.map(|failure| failure.clone().redacted(self.redact(), &self.of));
        change.ended(shown.as_ref().map(Failure::problem)).await;
    }

    /// Who asks, and why.
    pub(crate) fn operator(&self) -> Operator {
        Operator::new(&self.who.name).why(self.change.why.as_deref().unwrap_or_default())
    }
}
