//! What the facts share.

use tito_core::event::TitoEvent;
use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_worker::WorkerBuilder;
use tito_worker::prelude::*;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// An event of the topic `job`, due at once.
pub fn job(entity: impl ToString) -> Publish {
    Publish::new("job", entity.to_string())
}

/// A topic with one partition, so that everything meets in it.
pub async fn with_one_partition<E: TitoEngine>(db: &E) {
    TitoQueue::new(db.clone()).create_topic("job", 1).await.unwrap();
}

/// Publishes events in one transaction.
pub async fn publish<E: TitoEngine>(db: &E, events: impl IntoIterator<Item = Publish>) {
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
pub async fn stored<E: TitoEngine>(db: &E, prefix: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let tx = db.begin().await.unwrap();
    tx.scan(KeyRange::prefix(prefix), 1_000_000).await.unwrap()
}

/// Stores bytes as they are.
pub async fn put<E: TitoEngine>(db: &E, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
    let (key, value) = (key.into(), value.into());
    db.transaction(|tx| async move { tx.put(key, value).await }).await.unwrap();
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
    task: JoinHandle<WorkerReport>,
}

impl Running {
    pub fn start<E: TitoEngine>(builder: WorkerBuilder<E>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let worker = builder.build();
        let task = tokio::spawn(async move {
            worker
                .run(async {
                    let _ = stopped.await;
                })
                .await
        });
        Self { stop, task }
    }

    pub async fn stop(self) -> WorkerReport {
        let _ = self.stop.send(());
        self.task.await.unwrap()
    }
}

/// A worker of the topic `job` that tells of every event it gets.
pub fn telling<E: TitoEngine>(db: &E) -> (WorkerBuilder<E>, mpsc::UnboundedReceiver<TitoEvent>) {
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
pub async fn count<T: TitoTransaction>(tx: &T, key: String) -> Result<(), TitoError> {
    let stored = tx.get(key.as_bytes()).await?;
    let count = stored.map_or(0, |value| number(&value)) + 1;
    tx.put(key.into_bytes(), count.to_string().into_bytes()).await
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

/// The numbers under the keys that begin with `prefix`.
pub async fn counts<E: TitoEngine>(db: &E, prefix: &str) -> Vec<u64> {
    stored(db, prefix).await.iter().map(|(_, value)| number(value)).collect()
}

/// The engine's time in whole seconds.
pub fn seconds(clock: &tito_testkit::TestClock) -> i64 {
    (tito_core::clock::Clock::now_millis(clock) / 1000) as i64
}

/// Adds a group to the topic `job`, without a worker.
pub async fn with_group<E: TitoEngine>(db: &E, group: &str) {
    tito_core::event::Topic::change(db, "job", |mut topic, _| async move {
        topic.groups.insert(group.to_string(), tito_core::event::Group::default());
        Ok(Some(topic))
    })
    .await
    .unwrap();
}

/// The entities of the events that are stored under keys that begin with `prefix`.
pub async fn entities<E: TitoEngine>(db: &E, prefix: &str) -> Vec<String> {
    let events = stored(db, prefix).await;
    events.iter().map(|(key, value)| TitoEvent::decode(key, value).unwrap().entity).collect()
}
