//! Who has changed what, and why: in an event store of the database.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tito_eventstore::types::Codec;
use tito_eventstore::{EventStore, EventStoreConfig, EventStoreError, Manager, NewEvent, Retention};
use uuid::Uuid;

use crate::api::Problem;

/// The event store of the audit.
pub const AUDIT_STORE: &str = "tito-audit";

/// How long it keeps what was done, unless asked otherwise.
pub(crate) const AUDIT_AGE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

#[derive(Clone, Debug)]
pub(crate) struct Audit {
    pub(crate) manager: Manager,
    pub(crate) age: Duration,
}

/// The most bytes that are noted of what a change is done to: a task of an operation may be long.
const LONGEST_OF: usize = 1_000;

/// A change that was asked for.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Asked {
    pub(crate) who: String,
    pub(crate) what: &'static str,
    pub(crate) of: String,
    pub(crate) why: String,
}

/// What is noted of a change before it is made, to be gone on with when it was. Dropped before that, as whoever asked has hung
/// up, or it took too long, it is noted that nobody knows what came of it.
pub(crate) struct Noted {
    audit: Audit,
    asked: Asked,
    entity: String,
    has_ended: bool,
}

impl Audit {
    /// Notes what somebody is about to do.
    pub(crate) async fn asked(&self, mut asked: Asked) -> Noted {
        let end = (0..=LONGEST_OF.min(asked.of.len())).rfind(|end| asked.of.is_char_boundary(*end));
        asked.of.truncate(end.unwrap_or_default());
        let entity = format!("{}.{}", asked.what, Uuid::new_v4());
        let noted = Noted { audit: self.clone(), asked, entity, has_ended: false };
        append(&noted.audit, &noted.entity, "asked", &json!(noted.asked)).await;
        noted
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

impl Noted {
    /// Notes that it was done, or why not.
    pub(crate) async fn ended(mut self, problem: Option<&Problem>) {
        let (happened, data) = match problem {
            None => ("done", json!({})),
            Some(problem) => ("failed", json!({ "error": problem })),
        };
        append(&self.audit, &self.entity, happened, &data).await;
        self.has_ended = true;
        let Asked { who, what, of, why } = &self.asked;
        match problem {
            None => tracing::info!(who, what, of, why, "an operator made a change"),
            Some(problem) => {
                tracing::warn!(who, what, of, why, error = problem.message, "a change by an operator failed");
            }
        }
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let Asked { who, what, of, why } = &self.asked;
        tracing::warn!(
            who,
            what,
            of,
            why,
            "a change by an operator was interrupted, and may or may not have been made"
        );
        let (audit, entity, data) = (self.audit.clone(), std::mem::take(&mut self.entity), json!(self.asked));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // Nobody is left who could wait for it. It ends with the database at the latest.
            runtime.spawn(async move { append(&audit, &entity, "unknown", &data).await });
        }
    }
}

/// Where the audit can't be written, the change is made nevertheless, as it may be what lets it be written again: a purge
/// where the disk is full. What was to be noted is in the log by then.
async fn append(audit: &Audit, entity: &str, happened: &str, data: &serde_json::Value) {
    let event = NewEvent::encoded(entity, happened, 1, Codec::Json, data.to_string());
    let appended = async { audit.store().await?.append(event).await };
    if let Err(error) = appended.await {
        tracing::error!(%error, change = entity, happened, "the audit could not be written");
    }
}
