//! Generates concurrent transactions and records them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::join_all;
use tito_core::engine::KeyValue;
use tito_core::keys::KeyRange;
use tito_core::{Database, Result, Timestamp, Transaction};

use super::{Key, Record, Step, Value};

/// Concurrent transactions to generate. The default takes well under a second, and its transactions conflict often.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Decides what the transactions do. The scheduler decides how they interleave.
    pub seed: u64,
    /// How many tasks run at the same time.
    pub tasks: usize,
    /// How many transactions each task runs.
    pub transactions: usize,
    /// How many keys there are. Few keys make transactions conflict.
    pub keys: Key,
}

impl Default for Workload {
    fn default() -> Self {
        Self { seed: 0, tasks: 8, transactions: 25, keys: 6 }
    }
}

impl Workload {
    /// Runs the transactions on an engine where nobody else writes keys below "history:". A transaction that fails is
    /// recorded as not committed, so the engine's commits must not have unknown outcomes that took effect.
    ///
    /// # Panics
    /// If the engine stores something under these keys that was not written, or a task panics.
    pub async fn run(&self, engine: &Database) -> Vec<Record> {
        let shared = Arc::new(Shared::default());
        let tasks = (0..self.tasks).map(|task| {
            let (engine, shared) = (engine.clone(), shared.clone());
            let (keys, transactions) = (self.keys, self.transactions);
            let mut random = fastrand::Rng::with_seed(self.seed.wrapping_mul(1_000_003).wrapping_add(task as u64));
            tokio::spawn(async move {
                let mut records = Vec::new();
                for _ in 0..transactions {
                    records.extend(one_transaction(&engine, &shared, &mut random, keys).await);
                }
                records
            })
        });
        let mut history = Vec::new();
        for records in join_all(tasks).await {
            history.extend(records.expect("a task of the workload panicked"));
        }
        history
    }
}

#[derive(Debug, Default)]
struct Shared {
    /// The latest commit that returned to any task.
    latest_commit: AtomicU64,
    values: AtomicU64,
}

impl Shared {
    fn new_value(&self) -> Value {
        self.values.fetch_add(1, Ordering::Relaxed)
    }
}

/// `None` if the transaction did not even begin.
async fn one_transaction(engine: &Database, shared: &Shared, random: &mut fastrand::Rng, keys: Key) -> Option<Record> {
    let began_after = Timestamp::from_raw(shared.latest_commit.load(Ordering::SeqCst));
    let tx = engine.begin().await.ok()?;
    let mut record = Record { start: tx.start_timestamp(), began_after, steps: Vec::new(), commit: None };
    for _ in 0..random.usize(1..8) {
        match one_step(&tx, shared, random, keys).await {
            Ok(Some(step)) => record.steps.push(step),
            Ok(None) => {}
            Err(_) => return Some(record),
        }
        if random.bool() {
            tokio::task::yield_now().await;
        }
    }
    if random.u8(0..10) == 0 {
        tx.rollback().await;
    } else if let Ok(commit) = tx.commit().await {
        shared.latest_commit.fetch_max(commit.raw(), Ordering::SeqCst);
        record.commit = Some(commit);
    }
    Some(record)
}

/// `None` for an insert of an existing key, which changes nothing.
async fn one_step(tx: &Transaction, shared: &Shared, random: &mut fastrand::Rng, keys: Key) -> Result<Option<Step>> {
    let key = random.u8(0..keys);
    let step = match random.u8(0..10) {
        0..3 => Step::Get(key, tx.get(&key_bytes(key)).await?.as_deref().map(value_of)),
        3 | 4 => {
            let (start, end, limit, reverse) = (key, random.u8(0..=keys), random.usize(0..=4), random.bool());
            let range = KeyRange::new(key_bytes(start), key_bytes(end));
            let found = if reverse { tx.scan_reverse(range, limit).await? } else { tx.scan(range, limit).await? };
            Step::Scan { start, end, limit, reverse, found: found.iter().map(entry_of).collect() }
        }
        5 | 6 => {
            let value = shared.new_value();
            tx.put(key_bytes(key), value_bytes(value)).await?;
            Step::Put(key, value)
        }
        7 => {
            tx.delete(key_bytes(key)).await?;
            Step::Delete(key)
        }
        8 => {
            tx.lock_keys(vec![key_bytes(key)]).await?;
            Step::Lock(key)
        }
        // Only if it can succeed: engines may report an existing key only at the commit.
        _ if tx.get(&key_bytes(key)).await?.is_none() => {
            let value = shared.new_value();
            tx.insert(key_bytes(key), value_bytes(value)).await?;
            Step::Put(key, value)
        }
        _ => return Ok(None),
    };
    Ok(Some(step))
}

fn key_bytes(key: Key) -> Vec<u8> {
    [b"history:".as_slice(), &[key]].concat()
}

fn value_bytes(value: Value) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

fn value_of(bytes: &[u8]) -> Value {
    Value::from_be_bytes(bytes.try_into().expect("a value of the workload, of 8 bytes"))
}

fn entry_of((key, value): &KeyValue) -> (Key, Value) {
    (*key.last().expect("a key of the workload, which is not empty"), value_of(value))
}
