//! What the facts share, here and in the suite of the worker on TiKV.
#![allow(dead_code)] // Neither needs all of it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tito_core::engine::KeyValue;
use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_core::tikv::{TiKVBackend, TiKVBuilder};
use tito_test_engines::TestClock;
use tito_test_engines::mock_tikv::{CallCounts, MockCluster, Rpc};
use tokio::runtime::{Builder, Runtime};

/// A guard against tests that hang, far above what anything takes.
const FAR_TOO_LONG: Duration = Duration::from_secs(60);

/// Keys in four regions of [`four_regions`].
pub const APART: [&str; 4] = ["apple", "grape", "melon", "tomato"];

/// Three stores, and a region for each of the keys [`APART`].
pub async fn four_regions() -> MockCluster {
    MockCluster::builder().split_default_keyspace(false).stores(3).split_at(["g", "m", "t"]).start().await.unwrap()
}

/// [`four_regions`] with a clock that the test turns.
pub async fn four_regions_at(clock: &TestClock) -> MockCluster {
    let clock = clock.shared();
    let now = std::sync::Arc::new(move || clock.now_millis());
    MockCluster::builder()
        .split_default_keyspace(false)
        .stores(3)
        .split_at(["g", "m", "t"])
        .clock(now)
        .start()
        .await
        .unwrap()
}

pub fn builder(cluster: &MockCluster) -> TiKVBuilder {
    TiKVBackend::builder(cluster.pd_endpoints())
}

/// For what comes to nothing before the deadline of its call: it comes to the same sooner.
pub fn impatient(cluster: &MockCluster) -> TiKVBuilder {
    builder(cluster).call_deadline(Duration::from_secs(2)).rpc_timeout(Duration::from_millis(400))
}

pub async fn connect(cluster: &MockCluster) -> Database {
    builder(cluster).connect().await.unwrap()
}

/// An engine that runs where it can be killed: without its runtime nothing of it goes on.
pub struct Process {
    runtime: Option<Runtime>,
    pub db: Database,
}

impl Process {
    pub async fn start(builder: TiKVBuilder) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let db = runtime.spawn(builder.connect()).await.unwrap().unwrap();
        Self { runtime: Some(runtime), db }
    }

    /// Runs something there, and leaves it to itself.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.as_ref().unwrap().spawn(work)
    }

    pub fn alive_tasks(&self) -> usize {
        self.runtime.as_ref().unwrap().metrics().num_alive_tasks()
    }

    pub fn kill(self) {}
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Waits until something holds that is on its way.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(tokio::time::timeout(FAR_TOO_LONG, waiting).await.is_ok(), "it never came to be that {what}");
}

pub async fn no_locks(cluster: &MockCluster) {
    let gone = async {
        while !cluster.locks().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let is_gone = tokio::time::timeout(FAR_TOO_LONG, gone).await.is_ok();
    assert!(is_gone, "these stay locked: {:?}", cluster.locks());
}

/// Fails a test that hangs.
pub async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(FAR_TOO_LONG, future).await.expect("it hangs")
}

/// Polls a future so often at most, then drops it. None if it was not done by then.
pub async fn cancelled_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // Dropped at once, while what it waits for is under way.
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// The engine of a database on a cluster.
pub fn tikv(db: &Database) -> &TiKVBackend {
    db.backend().unwrap()
}

/// Writes one value to several keys in one transaction.
pub fn put_all(
    db: &Database,
    keys: &[&str],
    value: &str,
) -> impl Future<Output = Result<(), TitoError>> + Send + use<> {
    let db = db.clone();
    let rows: Vec<KeyValue> = keys.iter().map(|key| (key.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
    async move {
        db.transaction(|tx| async move {
            for (key, value) in rows {
                tx.put(key, value).await?;
            }
            Ok(())
        })
        .await
    }
}

pub async fn get(db: &Database, key: &str) -> Option<String> {
    let value = db.begin().await.unwrap().get(key.as_bytes()).await.unwrap();
    value.map(|value| String::from_utf8(value).unwrap())
}

/// The values of several keys in one snapshot.
pub async fn get_all(db: &Database, keys: &[&str]) -> Vec<Option<String>> {
    let tx = db.begin().await.unwrap();
    let values = tx.batch_get(keys.iter().map(|key| key.as_bytes().to_vec()).collect()).await.unwrap();
    values.into_iter().map(|value| value.map(|value| String::from_utf8(value).unwrap())).collect()
}

pub async fn everything(db: &Database) -> Vec<KeyValue> {
    db.begin().await.unwrap().scan(KeyRange::new("!", "~"), 1_000_000).await.unwrap()
}

/// The number of each of these calls, for short comparisons.
pub fn counts<const N: usize>(calls: &CallCounts, of: [Rpc; N]) -> [u64; N] {
    of.map(|rpc| calls.of(rpc))
}

#[track_caller]
pub fn assert_unavailable<T: std::fmt::Debug>(outcome: Result<T, TitoError>, words: &[&str]) {
    match outcome {
        Err(error @ TitoError::Unavailable { .. }) => assert_says(&error, words),
        other => panic!("expected Unavailable, found {other:?}"),
    }
}

#[track_caller]
pub fn assert_says(error: &TitoError, words: &[&str]) {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    for word in words {
        assert!(text.contains(word), "{text:?} does not say {word:?}");
    }
}
