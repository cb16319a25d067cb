//! What is written: transactions as models make them, generated before anything is measured.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tito_core::event::{TitoEvent, event_id};
use tito_core::prelude::*;
use tito_core::row::UnknownMembers;
use tito_core::{Timestamp, keys};
use tokio::runtime::Runtime;
use uuid::Uuid;

pub type Put = (Vec<u8>, Vec<u8>);
pub type Puts = Vec<Put>;

/// The engine's default.
const MEMTABLE_BYTES: u64 = 32 << 20;

/// Where the load's clock begins.
const FIRST_SECOND: i64 = 1_800_000_000;

/// Makes transactions: a row of 300 bytes with a random id, an index entry, and `events` events.
pub struct Load {
    random: Rng,
    events: usize,
    made: u64,
}

impl Load {
    /// The same seed makes the same transactions.
    pub fn new(seed: u64, events: usize) -> Self {
        // Each seed has an hour of its own.
        Self { random: Rng::with_seed(seed), events, made: seed * 3_600_000 * 50 }
    }

    pub fn transactions(&mut self, count: usize) -> Vec<Puts> {
        (0..count).map(|_| self.transaction()).collect()
    }

    fn transaction(&mut self) -> Puts {
        self.made += 1;
        // Fifty a millisecond.
        let start = Timestamp::from_millis(FIRST_SECOND as u64 * 1_000 + self.made / 50);
        let id = Uuid::from_u128(self.random.u128(..)).to_string();
        let email = format!("{:012x}@example.com", self.random.u64(..1 << 48));
        let mut puts = vec![
            (keys::row("user", &id), row(&id, &email)),
            (keys::index_entry("user", "by_email", email.as_bytes(), &id), Vec::new()),
        ];
        let entity = format!("user:{id}");
        for (number, name) in ["user", "analytics"].into_iter().take(self.events).enumerate() {
            let event = TitoEvent {
                id: event_id(start, number as u32, self.random.u64(..)),
                event_type: name.to_string(),
                entity: entity.clone(),
                row: None,
                owner: None,
                action: "insert".to_string(),
                timestamp: (start.physical_millis() / 1_000) as i64,
                not_before: None,
                failed_attempts: 0,
                revision: 0,
                headers: BTreeMap::new(),
                payload: None,
                codec: Cow::Borrowed("json"),
                failures: Vec::new(),
                progress: None,
                steps: Vec::new(),
                deaths: None,
                causation_id: None,
                done: None,
                unknown: UnknownMembers::default(),
                key: Vec::new(),
            };
            let key = keys::event(name, keys::partition_of(&entity, 16), event.timestamp, event.id);
            puts.push((key, event.encode().unwrap()));
        }
        puts
    }
}

/// 300 bytes of JSON.
fn row(id: &str, email: &str) -> Vec<u8> {
    let mut row = format!(r#"{{"id":"{id}","email":"{email}","about":""#).into_bytes();
    row.resize(298, b'x');
    row.extend_from_slice(b"\"}");
    row
}

pub fn bytes_of(transactions: &[Puts]) -> usize {
    transactions.iter().flatten().map(|(key, value)| key.len() + value.len()).sum()
}

/// Commits the transactions from `tasks` concurrent tasks, each its share one after the other.
pub fn commit_all(runtime: &Runtime, db: &Database, tasks: usize, transactions: Vec<Puts>) -> Duration {
    run_tasks(runtime, tasks, transactions, {
        let db = db.clone();
        move |puts| {
            let db = db.clone();
            async move {
                let tx = db.begin().await.unwrap();
                for (key, value) in puts {
                    tx.system_keys().put(key, value).await.unwrap();
                }
                tx.commit().await.unwrap();
            }
        }
    })
}

/// Calls `f` with every item, from `tasks` concurrent tasks.
pub fn run_tasks<T, F, Fut>(runtime: &Runtime, tasks: usize, items: Vec<T>, f: F) -> Duration
where
    T: Send + 'static,
    F: Fn(T) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    let mut shares: Vec<Vec<T>> = (0..tasks).map(|_| Vec::with_capacity(items.len() / tasks + 1)).collect();
    for (position, item) in items.into_iter().enumerate() {
        shares[position % tasks].push(item);
    }
    let f = Arc::new(f);
    let begin = Instant::now();
    runtime.block_on(async {
        let running = shares.into_iter().map(|share| {
            let f = f.clone();
            tokio::spawn(async move {
                for item in share {
                    f(item).await;
                }
            })
        });
        for task in running.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
    begin.elapsed()
}

/// Waits until no merge goes on, so that the next contender has the machine to itself.
pub async fn merged(db: &Database) {
    loop {
        // The engine takes up finished merges as it commits.
        db.transaction(|tx| async move { tx.put(b"tick".to_vec(), Vec::new()).await }).await.unwrap();
        // What is left has not filled the memtable that takes commits.
        if db.backend::<EmbeddedBackend>().unwrap().sizes().await.unwrap().unflushed_bytes < MEMTABLE_BYTES {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
