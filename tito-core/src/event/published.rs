//! How many events were published, for the application's metrics.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use metrics::Counter;

/// The counter of events that commits have published, with the label `topic`. Retries and redrives are not among them.
pub const PUBLISHED: &str = "tito_events_published_total";

/// The counters by topic. One is asked of the recorder when a topic is first published to, so an application installs
/// its recorder before that.
#[derive(Debug, Default)]
pub(crate) struct PublishedCounters(RwLock<HashMap<Arc<str>, Counter>>);

impl PublishedCounters {
    pub(super) fn of(&self, topic: &Arc<str>) -> Counter {
        if let Some(counter) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(topic) {
            return counter.clone();
        }
        // Not under the lock: a recorder is code of the application's.
        metrics::describe_counter!(PUBLISHED, "Events that commits have published.");
        let counter = metrics::counter!(PUBLISHED, "topic" => topic.to_string());
        let mut counters = self.0.write().unwrap_or_else(PoisonError::into_inner);
        counters.entry(topic.clone()).or_insert(counter).clone()
    }
}
