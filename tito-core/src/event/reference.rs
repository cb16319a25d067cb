//! Where to find an event again.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Names one published event, so that it can be cancelled or rescheduled while it has not been done. Can be stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventReference {
    /// The event's type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The entity that it is about, which tells its partition.
    pub entity: String,
    /// When it was to fall due when it was published, in Unix seconds. A retry may have moved it since.
    pub timestamp: i64,
    /// Its id.
    pub id: Uuid,
}

impl EventReference {
    /// When it was to fall due when it was published, as a time.
    pub fn due(&self) -> DateTime<Utc> {
        due(self.timestamp)
    }
}

/// The time of a second, or the earliest or latest time there is.
pub(super) fn due(seconds: i64) -> DateTime<Utc> {
    let bound = if seconds < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    DateTime::from_timestamp(seconds, 0).unwrap_or(bound)
}
