//! What becomes of an event that a later release has published.

use tito_core::Database;
use tito_core::event::TitoEvent;

use super::extract::Rejection;
use crate::error::QueueError;
use crate::outcome::Outcome;
use crate::time::time_of;

/// How long an event of a later version than the program knows is postponed, in seconds.
const POSTPONED_SECONDS: i64 = 60;

/// From when on it is an error that no worker knows an event's version.
const LATE_SECONDS: i64 = 3_600;

/// What becomes of an event of a later version: a worker of the new release is to handle it.
pub(super) async fn postpone(database: &Database, event: &TitoEvent, error: &QueueError) -> Rejection {
    let now = match database.now().await {
        Ok(now) => now.seconds(),
        Err(error) => return error.into(),
    };
    let (id, entity) = (event.id, &event.entity);
    // One that keeps its place is due since it first was; a deploy is over by then.
    let overdue_seconds = now.saturating_sub(event.timestamp);
    if overdue_seconds < LATE_SECONDS {
        tracing::warn!(%error, event = %id, entity, "postponed by a minute, for a worker of a later release");
    } else {
        tracing::error!(
            %error, event = %id, entity, overdue_seconds,
            "postponed by a minute once more: no worker of a later release has handled it, and later events of its entity \
             wait for it; deploy that release, or cancel the event"
        );
    }
    Rejection::Outcome(Outcome::RescheduleTo(time_of(now.saturating_add(POSTPONED_SECONDS))))
}
