//! How many events were published: for the application's metrics, and by minute for display.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use metrics::{Counter, CounterFn};

use crate::clock::Clock;
use crate::database::Database;

/// The counter of events that commits have published, with the label `topic`. Retries and redrives are not among them.
pub const PUBLISHED: &str = "tito_events_published_total";

/// For how many minutes the counts are kept, not counting the current one.
const MINUTES_KEPT: u64 = 120;

/// The counters by topic. A counter is requested from the recorder when a topic is first published to, so an
/// application has to install its recorder before that.
#[derive(Debug, Default)]
pub(crate) struct PublishedCounters {
    by_topic: RwLock<HashMap<Arc<str>, Counted>>,
    on_publish: OnceLock<fn(&Database)>,
}

/// A counter for commits, and what it has counted.
type Counted = (Counter, Arc<Published>);

impl PublishedCounters {
    pub(super) fn of(&self, topic: &Arc<str>, database: &Database) -> Counter {
        if let Some(on_publish) = self.on_publish.get() {
            on_publish(database);
        }
        if let Some((counter, _)) = self.by_topic.read().unwrap_or_else(PoisonError::into_inner).get(topic) {
            return counter.clone();
        }
        // Not under the lock: a recorder is code of the application's.
        metrics::describe_counter!(PUBLISHED, "Events that commits have published.");
        let recorder = metrics::counter!(PUBLISHED, "topic" => topic.to_string());
        let published = Arc::new(Published { recorder, clock: database.clock().clone(), minutes: Mutex::default() });
        let mut counters = self.by_topic.write().unwrap_or_else(PoisonError::into_inner);
        let both = || (Counter::from_arc(published.clone()), published);
        counters.entry(topic.clone()).or_insert_with(both).0.clone()
    }
}

/// What was published to one queue.
#[derive(Debug)]
struct Published {
    recorder: Counter,
    clock: Arc<dyn Clock>,
    /// By minutes since the Unix epoch.
    minutes: Mutex<BTreeMap<u64, u64>>,
}

impl CounterFn for Published {
    fn increment(&self, events: u64) {
        self.recorder.increment(events);
        let minute = self.clock.now_millis() / 60_000;
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        *minutes.entry(minute).or_default() += events;
        while minutes.len() as u64 > MINUTES_KEPT + 1 {
            minutes.pop_first();
        }
    }

    fn absolute(&self, events: u64) {
        self.recorder.absolute(events);
    }
}

/// Sets what is called for each event that this process publishes, before its transaction is committed: for those who
/// tell others what was published. The first call wins.
pub fn on_publish(database: &Database, call: fn(&Database)) {
    database.shared().value::<PublishedCounters>().on_publish.get_or_init(|| call);
}

/// How many events this process has published to each queue in the last two hours, by minutes since the Unix epoch as
/// its clock shows them.
pub fn published_by_minute(database: &Database) -> Vec<(Arc<str>, BTreeMap<u64, u64>)> {
    let counters = database.shared().value::<PublishedCounters>();
    let counters = counters.by_topic.read().unwrap_or_else(PoisonError::into_inner);
    let minutes = |published: &Published| published.minutes.lock().unwrap_or_else(PoisonError::into_inner).clone();
    counters.iter().map(|(queue, (_, published))| (queue.clone(), minutes(published))).collect()
}
