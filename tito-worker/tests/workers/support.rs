//! What the facts share.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tito_core::Transaction;
use tito_core::event::TitoEvent;
use tito_core::keys::{EventPlace, KeyRange};
use tito_core::prelude::*;
use tito_testkit::{Call, TestClock, WithFaults};
use tito_worker::WorkerBuilder;
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{QueueError, WorkerError, WorkerReport};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// An event of the topic `job`, due at once.
pub fn job(entity: impl ToString) -> Publish {
    Publish::new("job", entity.to_string())
}

/// A topic with one partition, so that everything meets in it.
pub async fn with_one_partition(db: &Database) {
    TitoQueue::new(db.clone()).create_topic("job", 1).await.unwrap();
}

/// Publishes events in one transaction.
pub async fn publish(db: &Database, events: impl IntoIterator<Item = Publish>) {
    let events: Vec<_> = events.into_iter().collect();
    let queue = TitoQueue::new(db.clone());
    db.transaction(|tx| async move {
        for event in events {
            queue.publish(event, &tx).await?;
        }
        Ok(())
    })
    .await
    .unwrap();
}

/// The stored keys and values that begin with `prefix`.
pub async fn stored(db: &Database, prefix: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let tx = db.begin().await.unwrap();
    tx.scan(KeyRange::prefix(prefix), 1_000_000).await.unwrap()
}

/// Stores bytes as they are.
pub async fn put(db: &Database, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
    let (key, value) = (key.into(), value.into());
    db.transaction(|tx| async move { tx.system_keys().put(key, value).await }).await.unwrap();
}

/// What every handler of these tests returns.
pub type Done = Result<(), TitoError>;

/// A handler's error.
pub fn error(text: impl Into<String>) -> TitoError {
    TitoError::Application(text.into().into())
}

/// A worker that runs beside the test.
pub struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<WorkerReport, WorkerError>>,
}

impl Running {
    pub fn start(builder: WorkerBuilder) -> Self {
        let (stop, stopped) = oneshot::channel();
        let worker = builder.dies_when_dropped().build();
        let task = tokio::spawn(async move {
            worker
                .run(async {
                    let _ = stopped.await;
                })
                .await
        });
        Self { stop, task }
    }

    /// Ends it as a process ends that is killed: where it stands, without a word.
    pub async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }

    pub async fn stop(self) -> WorkerReport {
        let _ = self.stop.send(());
        self.task.await.unwrap().unwrap()
    }
}

/// A worker of the topic `job` that tells of every event it gets.
pub fn telling(db: &Database) -> (WorkerBuilder, mpsc::UnboundedReceiver<TitoEvent>) {
    let (tell, told) = mpsc::unbounded_channel();
    let builder = Worker::builder(TitoQueue::new(db.clone())).subscribe("job", move |event: TitoEvent| {
        let tell = tell.clone();
        async move {
            let _ = tell.send(event);
            Done::Ok(())
        }
    });
    (builder, told)
}

/// Adds one to the number under a key.
pub async fn count(tx: &Transaction, key: String) -> Result<(), TitoError> {
    let stored = tx.get(key.as_bytes()).await?;
    let count = stored.map_or(0, |value| number(&value)) + 1;
    tx.put(key.into_bytes(), count.to_string().into_bytes()).await
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

/// The numbers under the keys that begin with `prefix`.
pub async fn counts(db: &Database, prefix: &str) -> Vec<u64> {
    stored(db, prefix).await.iter().map(|(_, value)| number(value)).collect()
}

/// Runs a call to its end, turning the clock whenever it is waited for: calls that settle a topic wait on it where
/// there could be other writers.
pub async fn turning<T>(clock: &TestClock, call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    loop {
        tokio::select! {
            biased;
            value = &mut call => return value,
            next = clock.waited_for() => clock.advance_to(next),
        }
    }
}

/// Ends all waits of this length by the machine's clock, such as those between a worker's looks at what is past its time.
pub async fn skip(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// What is to happen to a call at one of its commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// The process dies before the commit.
    Dropped,
    /// The commit is made, and its answer lost.
    Unknown,
}

/// Runs a call that is interrupted at its n-th commit. Returns whether it came that far.
pub async fn interrupted<T>(
    db: &Database,
    clock: &TestClock,
    (how, n): (Interruption, u64),
    call: impl Future<Output = Result<T, QueueError>>,
) -> bool {
    let commit = db.faults().at(Call::Commit).nth(n);
    let is_interrupted = match how {
        Interruption::Dropped => {
            let gate = commit.hold();
            tokio::select! {
                biased;
                () = gate.arrivals(1) => true,
                result = turning(clock, call) => {
                    result.map(|_| ()).unwrap();
                    false
                }
            }
        }
        Interruption::Unknown => {
            commit.unknown_after_effect();
            match turning(clock, call).await {
                Ok(_) => false,
                Err(QueueError::Engine(TitoError::CommitUnknown { .. })) => true,
                Err(error) => panic!("{error}"),
            }
        }
    };
    db.faults().clear();
    is_interrupted
}

/// Where the events lie whose keys begin with `prefix`, by id. Fails if one lies in two places.
pub async fn places(db: &Database, prefix: &str) -> BTreeMap<uuid::Uuid, (EventPlace, TitoEvent)> {
    let mut places = BTreeMap::new();
    for (key, value) in stored(db, prefix).await {
        let place = keys::parse_event(&key).unwrap();
        let event = TitoEvent::decode(&key, &value).unwrap();
        assert_eq!((place.seconds, place.id), (event.timestamp, event.id));
        assert!(places.insert(place.id, (place, event)).is_none(), "twice: {}", String::from_utf8_lossy(&key));
    }
    places
}

/// The engine's time in whole seconds.
pub fn seconds(clock: &tito_testkit::TestClock) -> i64 {
    (tito_core::clock::Clock::now_millis(clock) / 1000) as i64
}

/// Adds a group to the topic `job`, without a worker.
pub async fn with_group(db: &Database, group: &str) {
    tito_core::event::Topic::ensure(db, "job", 16).await.unwrap();
    tito_core::event::Topic::change(db, "job", |mut topic, _| async move {
        topic.groups.insert(group.to_string(), tito_core::event::Group::default());
        Ok(Some(topic))
    })
    .await
    .unwrap();
}

/// The entities of the events that are stored under keys that begin with `prefix`.
pub async fn entities(db: &Database, prefix: &str) -> Vec<String> {
    let events = stored(db, prefix).await;
    events.iter().map(|(key, value)| TitoEvent::decode(key, value).unwrap().entity).collect()
}

/// The time of a second, or the first or last that there is.
pub fn at_second(seconds: i64) -> DateTime<Utc> {
    let bound = if seconds < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    DateTime::from_timestamp(seconds, 0).unwrap_or(bound)
}
