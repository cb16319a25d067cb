//! Who changed what, and why.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Serialize;
use tito_core::BoxError;

/// Where changes by operators are kept, in addition to the log: an event store, say.
pub trait AuditSink: Send + Sync + 'static {
    /// Keeps what was changed. An error is logged, and the change stands.
    fn record<'a>(&'a self, record: &'a AuditRecord) -> BoxFuture<'a, Result<(), BoxError>>;
}

/// A change by an operator, made or tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuditRecord {
    /// Who changed it.
    pub who: String,
    /// Why.
    pub why: String,
    /// What was done, such as `pause`.
    pub what: String,
    /// What it was done to, such as the name of a queue.
    pub subject: String,
    /// Why it was not changed; `None` if it was.
    pub error: Option<String>,
}

/// Somebody who changes something by hand: the name of a token, or the operating system's user.
///
/// ```
/// # use tito_core::prelude::*;
/// # use tito_worker::prelude::*;
/// # use tito_worker::Operator;
/// # async fn example(queue: TitoQueue) -> Result<(), TitoError> {
/// let operator = Operator::new("ada").why("the mail server melts");
/// operator.change("pause", "mail", queue.pause("mail")).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Operator {
    who: String,
    why: String,
    sink: Option<Arc<dyn AuditSink>>,
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator").field("who", &self.who).field("why", &self.why).finish_non_exhaustive()
    }
}

impl Operator {
    /// Somebody.
    pub fn new(who: impl Into<String>) -> Self {
        Self { who: who.into(), why: String::new(), sink: None }
    }

    /// Why they change something.
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// Where their changes are kept, in addition to the log.
    pub fn audited_by(mut self, sink: Arc<dyn AuditSink>) -> Self {
        self.sink = Some(sink);
        self
    }

    /// Who it is.
    pub fn who(&self) -> &str {
        &self.who
    }

    /// Why they change something; empty if they have not said.
    pub fn reason(&self) -> &str {
        &self.why
    }

    /// Makes a change and reports it afterwards, whether it was made or refused: in the log, under the target
    /// `tito::audit`, and to the sink. Returns the result of the change. A change that is dropped while it runs is not
    /// reported.
    ///
    /// # Errors
    /// Those of the change.
    pub async fn change<T, E: fmt::Display>(
        &self,
        what: &str,
        subject: &str,
        change: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let changed = change.await;
        let error = changed.as_ref().err().map(ToString::to_string);
        let Self { who, why, .. } = self;
        match &error {
            None => tracing::info!(target: "tito::audit", who, why, what, subject, "changed by an operator"),
            Some(error) => {
                tracing::warn!(target: "tito::audit", who, why, what, subject, error, "an operator's change failed");
            }
        }
        if let Some(sink) = &self.sink {
            let (what, subject) = (what.to_string(), subject.to_string());
            let record = AuditRecord { who: who.clone(), why: why.clone(), what, subject, error };
            if let Err(error) = sink.record(&record).await {
                tracing::error!(target: "tito::audit", who, %error, "a change by an operator can't be kept");
            }
        }
        changed
    }
}
