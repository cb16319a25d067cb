//! Where an event is found again.

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
    /// When it fell due as it was published, in Unix seconds. A retry may have moved it since.
    pub timestamp: i64,
    /// Its id.
    pub id: Uuid,
}
