//! Who has changed what, and why: in an event store of the database.

use std::time::Duration;

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

/// A change that was asked for.
pub(crate) struct Asked<'a> {
    pub(crate) who: &'a str,
    pub(crate) what: &'a str,
    pub(crate) of: &'a str,
    pub(crate) why: &'a str,
}

/// What is noted of a change before it is made, to be gone on with when it was.
pub(crate) struct Noted<'a> {
    audit: &'a Audit,
    entity: String,
}

impl Audit {
    /// Notes what somebody is about to do.
    pub(crate) async fn asked<'a>(&'a self, change: &Asked<'_>) -> Noted<'a> {
        let noted = Noted { audit: self, entity: format!("{}.{}", change.what, Uuid::new_v4()) };
        let Asked { who, what, of, why } = change;
        noted.append("asked", &json!({ "who": who, "what": what, "of": of, "why": why })).await;
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

impl Noted<'_> {
    /// Notes that it was done, or why not.
    pub(crate) async fn ended(self, problem: Option<&Problem>) {
        match problem {
            None => self.append("done", &json!({})).await,
            Some(problem) => self.append("failed", &json!({ "error": problem })).await,
        }
    }

    /// Where the audit can't be written, the change is made nevertheless, as it may be what lets it be written again: a purge
    /// where the disk is full. What was to be noted is in the log by then.
    async fn append(&self, happened: &str, data: &serde_json::Value) {
        let event = NewEvent::encoded(self.entity.as_str(), happened, 1, Codec::Json, data.to_string());
        let appended = async { self.audit.store().await?.append(event).await };
        if let Err(error) = appended.await {
            tracing::error!(%error, change = self.entity, happened, "the audit could not be written");
        }
    }
}
