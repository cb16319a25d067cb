//! Lists topics.

use tito_core::engine::KeyValue;
use tito_core::event::Topic;
use tito_core::{KeyText, Result, TitoError};

use crate::error::QueueError;
use crate::keys;
use crate::queue::TitoQueue;

impl TitoQueue {
    /// Up to `limit` topics with their names, by name, after the one named `after`; fewer if there are no more. A topic
    /// whose row can't be read is left out, and logged with its key; calls with its name fail.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn topics(&self, limit: usize, after: Option<&str>) -> Result<Vec<(String, Topic)>, QueueError> {
        let all = keys::topics();
        let range = after.map_or(all.clone(), |name| all.after(&keys::topic(name)));
        let read = |stored: &KeyValue, _| match decode_topic(stored) {
            Ok(topic) => Some(topic),
            Err(error) => {
                self.engine.log_damaged(&error, "a topic can't be read and is left out");
                None
            }
        };
        Ok(self.first_of(range, limit, read).await?)
    }
}

/// A topic with its name, as they are stored.
pub(super) fn decode_topic((key, value): &KeyValue) -> Result<(String, Topic)> {
    let name = keys::parse_topic(key).ok_or_else(|| TitoError::Malformed {
        key: KeyText::from(key.as_slice()),
        expected: "a topic, whose name is in its key",
        source: "the name is not escaped as names are".into(),
    })?;
    Ok((name, Topic::decode(key, value)?))
}
