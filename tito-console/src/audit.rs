//! Who has changed what, and why: in the log, and in an event store of the database.

use std::future::Future;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tito_core::Database;
use tito_eventstore::types::Codec;
use tito_eventstore::{EventStore, EventStoreConfig, EventStoreError, Manager, NewEvent, Retention};
use tito_worker::Operator;
use uuid::Uuid;

use crate::api::Problem;

/// The event store of the audit.
pub const AUDIT_STORE: &str = "tito-audit";

/// How long it keeps what was done, unless asked otherwise.
const AUDIT_AGE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// The most bytes that are noted of what a change is done to: a task of an operation may be long.
const LONGEST_OF: usize = 1_000;

/// Notes what operators change: in the log, at the target `tito::audit`, and in the event store [`AUDIT_STORE`] of the
/// database. The API notes every change by one, the command line what it changes without the API, and a program can note
/// its own.
///
/// Two events are of one change, of the entity `{what}.{id}`: `asked` before it is made, an [`AuditRecord`], and behind it
/// `done`, or `failed` with the error, or `unknown` where nobody waited for its end. When is their time.
///
/// ```
/// # use tito_console::{Audit, api::{Code, Problem}};
/// # use tito_worker::{Operator, QueueError, TitoQueue};
/// # async fn example(db: tito_core::Database, queue: TitoQueue) -> Result<(), QueueError> {
/// let audit = Audit::of(&db);
/// let operator = Operator::new("ada").why("the mail server melts");
/// let problem = |error: &QueueError| Problem { code: Code::Internal, message: error.to_string(), retryable: false };
/// audit.change(&operator, "pause", "mail", queue.pause("mail"), problem).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Audit {
    pub(crate) manager: Manager,
    age: Duration,
}

/// A change that was asked for: what the event `asked` has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditRecord {
    /// Who: the name of a token, what the application says, or the operating system's user.
    pub who: String,
    /// What is done, such as `pause`.
    pub what: String,
    /// To what, such as the name of a queue; cut after 1,000 bytes.
    pub of: String,
    /// Why; empty if that was not said.
    pub why: String,
}

/// A change of which it was noted that it was asked for. Dropped before its end was noted, as whoever asked has hung up, or
/// it took too long, it is noted that nobody knows what came of it.
#[derive(Debug)]
#[must_use = "dropped, it notes that nobody knows what came of the change"]
pub struct AuditedChange {
    audit: Audit,
    record: AuditRecord,
    entity: String,
    has_ended: bool,
}

impl Audit {
    /// The audit of a database.
    pub fn of(database: &Database) -> Self {
        Self::by(Manager::new(database.clone()))
    }

    pub(crate) fn by(manager: Manager) -> Self {
        Self { manager, age: AUDIT_AGE }
    }

    /// How long it is kept where there is none yet: 90 days unless said otherwise. Of one that exists it is changed with
    /// the store [`AUDIT_STORE`].
    pub fn age(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }

    /// Makes a change, and notes who has asked for it before, and what came of it behind. Where the audit can't be written
    /// the change is made nevertheless, as it may be what lets it be written again: a purge where the disk is full. The log
    /// has it and the error.
    ///
    /// `what` names the kind of change, as a name that an entity can have, and `of` what it is done to.
    ///
    /// # Errors
    /// Those of the change.
    pub async fn change<T, E>(
        &self,
        operator: &Operator,
        what: &str,
        of: &str,
        change: impl Future<Output = Result<T, E>>,
        problem: impl FnOnce(&E) -> Problem,
    ) -> Result<T, E> {
        let asked = self.asked(operator, what, of).await;
        let changed = change.await;
        asked.ended(changed.as_ref().err().map(problem).as_ref()).await;
        changed
    }

    /// Notes what somebody is about to do, of which the end is noted by what this returns.
    pub async fn asked(&self, operator: &Operator, what: &str, of: &str) -> AuditedChange {
        let end = (0..=LONGEST_OF.min(of.len())).rfind(|end| of.is_char_boundary(*end));
        let of = of[..end.unwrap_or_default()].to_string();
        let (who, why) = (operator.who().to_string(), operator.reason().to_string());
        let record = AuditRecord { who, what: what.to_string(), of, why };
        let entity = format!("{what}.{}", Uuid::new_v4());
        let asked = AuditedChange { audit: self.clone(), record, entity, has_ended: false };
        append(&asked.audit, &asked.entity, "asked", &json!(asked.record)).await;
        asked
    }

    /// Lets the event stores go that it writes to. What is noted later is in the log alone.
    pub async fn close(&self) {
        self.manager.close().await;
    }

    async fn store(&self) -> Result<EventStore, EventStoreError> {
        match self.manager.get_event_store(AUDIT_STORE).await {
            Err(EventStoreError::StoreNotFound { .. }) => {}
            found => return found,
        }
        let description = "What operators have changed by the console or the command line";
        let retention = Retention::default().age(self.age);
        let config = EventStoreConfig::new(AUDIT_STORE).description(description).retention(retention);
        match self.manager.create_event_store(config).await {
            // Somebody else was first.
            Err(EventStoreError::StoreExists { .. }) => self.manager.get_event_store(AUDIT_STORE).await,
            created => created,
        }
    }
}

impl AuditedChange {
    /// Notes that it was done, or why not.
    pub async fn ended(mut self, problem: Option<&Problem>) {
        let (happened, data) = match problem {
            None => ("done", json!({})),
            Some(problem) => ("failed", json!({ "error": problem })),
        };
        append(&self.audit, &self.entity, happened, &data).await;
        self.has_ended = true;
        let AuditRecord { who, what, of, why } = &self.record;
        match problem {
            None => tracing::info!(target: "tito::audit", who, what, of, why, "an operator made a change"),
            Some(problem) => {
                let error = &problem.message;
                tracing::warn!(target: "tito::audit", who, what, of, why, error, "a change by an operator failed");
            }
        }
    }
}

impl Drop for AuditedChange {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let AuditRecord { who, what, of, why } = &self.record;
        let message = "a change by an operator was broken off, and may be made or not";
        tracing::warn!(target: "tito::audit", who, what, of, why, message);
        let (audit, entity, data) = (self.audit.clone(), std::mem::take(&mut self.entity), json!(self.record));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // Nobody is left who could wait for it. It ends with the database at the latest.
            runtime.spawn(async move { append(&audit, &entity, "unknown", &data).await });
        }
    }
}

/// What was to be noted is in the log by then.
async fn append(audit: &Audit, entity: &str, happened: &str, data: &serde_json::Value) {
    let event = NewEvent::encoded(entity, happened, 1, Codec::Json, data.to_string());
    let appended = async { audit.store().await?.append(event).await };
    match appended.await {
        Ok(_) => {}
        // A program that ends was broken off, which the log has.
        Err(error) if error.is_closed() => {
            tracing::debug!(target: "tito::audit", %error, change = entity, happened, "the database was closed before");
        }
        Err(error) => {
            tracing::error!(target: "tito::audit", %error, change = entity, happened, "the audit could not be written");
        }
    }
}
