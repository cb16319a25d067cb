//! The audit of what this program changes in a database without the API, in the form of `tito-console`.

use std::future::Future;

use serde_json::{Value, json};
use tito_console::AUDIT_STORE;
use tito_core::Database;
use tito_eventstore::types::Codec;
use tito_eventstore::{EventStore, EventStoreConfig, EventStoreError, Manager, NewEvent, Retention};
use uuid::Uuid;

use crate::failure::Result;
use crate::session::Session;

/// How long it keeps what was done, where there is none yet: as long as that of the API.
const AGE: std::time::Duration = std::time::Duration::from_secs(90 * 24 * 60 * 60);

/// Makes a change, and notes who has asked for it before, and what came of it behind.
///
/// Where the audit can't be written, the change is made nevertheless, as it may be what lets it be written again.
pub(crate) async fn change<T>(
    session: &Session,
    database: &Database,
    what: &str,
    of: &str,
    run: impl Future<Output = Result<T>>,
) -> Result<T> {
    let manager = Manager::new(database.clone());
    let entity = format!("{what}.{}", Uuid::new_v4());
    let asked = json!({"who": session.who(), "what": what, "of": of, "why": session.why().unwrap_or_default()});
    note(&manager, &entity, "asked", &asked).await;
    let done = run.await;
    match &done {
        Ok(_) => note(&manager, &entity, "done", &json!({})).await,
        Err(failure) => {
            let error = json!({"code": failure.kind.code(), "message": failure.to_string()});
            note(&manager, &entity, "failed", &json!({"error": error})).await;
        }
    }
    manager.close().await;
    done
}

async fn note(manager: &Manager, entity: &str, happened: &str, data: &Value) {
    let event = NewEvent::encoded(entity, happened, 1, Codec::Json, data.to_string());
    let appended = async { store(manager).await?.append(event).await };
    if let Err(error) = appended.await {
        tracing::error!(%error, change = entity, happened, "the audit could not be written");
    }
}

async fn store(manager: &Manager) -> Result<EventStore, EventStoreError> {
    match manager.get_event_store(AUDIT_STORE).await {
        Err(EventStoreError::StoreNotFound { .. }) => {}
        found => return found,
    }
    let config = EventStoreConfig::new(AUDIT_STORE)
        .description("What operators have changed by the console or the command line")
        .retention(Retention::default().age(AGE));
    match manager.create_event_store(config).await {
        // Somebody else was first.
        Err(EventStoreError::StoreExists { .. }) => manager.get_event_store(AUDIT_STORE).await,
        created => created,
    }
}
