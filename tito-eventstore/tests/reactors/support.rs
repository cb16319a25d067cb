//! A bank, and handlers that note what they are handed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_core::{BoxError, Transaction};
use tito_eventstore::{Event, EventStore, EventStoreConfig, Manager, NewEvent, ReactFrom, Reactor};
use tito_testkit::{Harness, TestClock};
use tito_worker::prelude::*;
use tito_worker::{Outcome, QueueStats, WorkerBuilder, WorkerReport};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub async fn bank(db: &Database) -> EventStore {
    Manager::new(db.clone()).create_event_store(EventStoreConfig::new("bank")).await.unwrap()
}

/// The same store, as another process has it.
pub async fn bank_of(db: &Database) -> EventStore {
    Manager::new(db.clone()).get_event_store("bank").await.unwrap()
}

/// A reactor of all accounts from the first event on.
pub async fn mailer(bank: &EventStore) -> Reactor {
    bank.react("mailer", "account", ReactFrom::First).await.unwrap()
}

/// Appends one event for each of these entities, in their order.
pub async fn append(bank: &EventStore, entities: impl IntoIterator<Item = &str>) {
    let events: Vec<_> = entities.into_iter().map(|entity| NewEvent::raw(entity, "changed", "data")).collect();
    bank.append(events).await.unwrap();
}

/// So many events of the accounts `account.0` and so on, in turns.
pub async fn append_many(bank: &EventStore, events: usize, accounts: usize) {
    for first in (0..events).step_by(500) {
        let some = (first..events.min(first + 500)).map(|number| format!("account.{}", number % accounts));
        let some: Vec<_> = some.map(|entity| NewEvent::raw(entity, "changed", "data")).collect();
        bank.append(some).await.unwrap();
    }
}

type Rule = dyn Fn(&Event, u32) -> Result<Outcome, BoxError> + Send + Sync;

/// What handlers were handed, in the order of that, and what they say of it.
#[derive(Clone)]
pub struct Notes {
    handed: Arc<Mutex<Vec<(u64, String)>>>,
    /// Asked with the event, and how often it was handed out before.
    rule: Arc<Mutex<Arc<Rule>>>,
}

impl Notes {
    pub fn new() -> Self {
        let rule: Arc<Rule> = Arc::new(|_: &Event, _: u32| Ok(Outcome::Done));
        Self { handed: Arc::default(), rule: Arc::new(Mutex::new(rule)) }
    }

    pub fn failing(rule: impl Fn(&Event, u32) -> Result<Outcome, BoxError> + Send + Sync + 'static) -> Self {
        let notes = Self::new();
        notes.go_by(rule);
        notes
    }

    pub fn go_by(&self, rule: impl Fn(&Event, u32) -> Result<Outcome, BoxError> + Send + Sync + 'static) {
        *self.rule.lock().unwrap() = Arc::new(rule);
    }

    pub fn note(&self, event: &Event) -> Result<Outcome, BoxError> {
        let mut handed = self.handed.lock().unwrap();
        let before = handed.iter().filter(|(sequence, _)| *sequence == event.sequence()).count() as u32;
        handed.push((event.sequence(), event.entity().to_string()));
        drop(handed);
        let rule = self.rule.lock().unwrap().clone();
        rule(event, before)
    }

    pub fn clear(&self) {
        self.handed.lock().unwrap().clear();
    }

    /// The sequences that were handed out, in that order.
    pub fn sequences(&self) -> Vec<u64> {
        self.handed.lock().unwrap().iter().map(|(sequence, _)| *sequence).collect()
    }

    /// Those of one entity.
    pub fn of(&self, entity: &str) -> Vec<u64> {
        let handed = self.handed.lock().unwrap();
        handed.iter().filter(|(_, one)| one == entity).map(|(sequence, _)| *sequence).collect()
    }

    /// The same, each once.
    pub fn once(&self, entity: &str) -> Vec<u64> {
        let once: BTreeSet<_> = self.of(entity).into_iter().collect();
        once.into_iter().collect()
    }

    /// Every event of some was handed out, each entity's in their order, whatever was repeated.
    pub fn assert_in_order(&self, sequences: impl IntoIterator<Item = u64>) {
        let handed = self.handed.lock().unwrap();
        let all: BTreeSet<_> = handed.iter().map(|(sequence, _)| *sequence).collect();
        assert_eq!(all, sequences.into_iter().collect());
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for (sequence, entity) in &*handed {
            let last = last.entry(entity).or_default();
            assert!(sequence >= last, "{sequence} of {entity} after {last}");
            *last = *sequence;
        }
    }

    pub fn subscribe(&self, worker: WorkerBuilder, reactor: &Reactor) -> WorkerBuilder {
        let notes = self.clone();
        reactor.subscribe(worker, move |event: Event| {
            let noted = notes.note(&event);
            async move { noted }
        })
    }

    /// With a transactional handler that counts, under `effect:{sequence}`.
    pub fn subscribe_counting(&self, worker: WorkerBuilder, reactor: &Reactor) -> WorkerBuilder {
        let notes = self.clone();
        reactor.subscribe(worker, move |event: Event, tx: Transaction| {
            let notes = notes.clone();
            async move {
                count(&tx, format!("effect:{:08}", event.sequence())).await?;
                notes.note(&event)
            }
        })
    }

    pub fn harness(&self, db: &Database, clock: &TestClock, reactor: &Reactor) -> Harness {
        Harness::of(self.subscribe(worker(db), reactor), clock)
    }

    pub fn counting(&self, db: &Database, clock: &TestClock, reactor: &Reactor) -> Harness {
        Harness::of(self.subscribe_counting(worker(db), reactor), clock)
    }
}

pub fn worker(db: &Database) -> WorkerBuilder {
    Worker::builder(TitoQueue::new(db.clone()))
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

/// Each event up to a sequence has had its effect once.
pub async fn assert_counted_once(db: &Database, sequences: impl IntoIterator<Item = u64>) {
    let effects = stored(db, "effect:").await;
    let effects: Vec<_> =
        effects.into_iter().map(|(key, value)| (String::from_utf8(key).unwrap(), number(&value))).collect();
    let expected: Vec<_> = sequences.into_iter().map(|sequence| (format!("effect:{sequence:08}"), 1)).collect();
    assert_eq!(effects, expected);
}

/// The stored keys and values that begin with `prefix`.
pub async fn stored(db: &Database, prefix: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let tx = db.begin().await.unwrap();
    let found = tx.scan(KeyRange::prefix(prefix), 1_000_000).await.unwrap();
    tx.rollback().await;
    found
}

/// How many events wait in the topic of the mailer, and how many are dead.
pub async fn in_queue(db: &Database) -> (u64, u64) {
    let QueueStats { total, .. } = TitoQueue::new(db.clone()).stats("bank.mailer").await.unwrap();
    (total.pending, total.dead)
}

/// A worker that runs beside the test.
pub struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<WorkerReport>,
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
                .unwrap()
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
        self.task.await.unwrap()
    }
}

/// Waits for something that comes by itself.
pub async fn until<Fut: Future<Output = bool>>(is_so: impl Fn() -> Fut) {
    while !is_so().await {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// Waits until everything that is in the store has been recorded.
pub async fn until_caught_up(bank: &EventStore) {
    until(async || {
        let info = bank.reactor("mailer").await.unwrap();
        info.behind() == 0 && info.open == 0
    })
    .await;
}
