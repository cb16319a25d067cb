//! A bank: its events at random, its accounts as a projector folds them, and as a fold by hand does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use tito_core::keys::KeyRange;
use tito_core::model::TitoTable;
use tito_core::prelude::*;
use tito_core::{BoxError, Transaction};
use tito_eventstore::{Event, EventStore, EventStoreConfig, Manager, NewEvent, Projection, Projector, Select};
use tito_testkit::{Harness, TestClock};
use tito_worker::prelude::*;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TitoModel)]
#[tito(event = "opened", on(insert))]
pub struct Account {
    pub id: String,
    #[tito(index(name = "by_owner", unique))]
    pub owner: String,
    #[tito(index)]
    pub balance: i64,
    /// How many events were folded into it.
    pub events: u64,
    /// Which projector has written it last.
    pub edition: u64,
}

impl Account {
    /// What an event makes of an account.
    pub fn evolve(account: Option<Self>, event: &Event, edition: u64) -> Result<Option<Self>, BoxError> {
        let text = std::str::from_utf8(event.bytes())?;
        let id = event.entity_id().to_string();
        let account = match event.event_type() {
            "opened" => Account { id, owner: text.to_string(), balance: 0, events: 0, edition },
            "closed" => return Ok(None),
            "renamed" => Account { owner: text.to_string(), ..account.ok_or("no account")? },
            _ => {
                let account = account.ok_or("no account")?;
                Account { balance: account.balance + text.parse::<i64>()?, ..account }
            }
        };
        Ok(Some(Account { events: account.events + 1, edition, ..account }))
    }
}

/// What tests tell a projector while it is at work.
#[derive(Clone, Default)]
pub struct Controls {
    /// Which sequence it fails on, and how.
    pub failing: Arc<Mutex<Option<(u64, &'static str)>>>,
    pub edition: Arc<AtomicU64>,
    /// How often it was called.
    pub calls: Arc<AtomicU64>,
}

impl Controls {
    pub fn fail(&self, at: Option<(u64, &'static str)>) {
        *self.failing.lock().unwrap() = at;
    }
}

/// What a panic carries whose drop panics.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

/// Folds accounts.
pub struct Accounts {
    rows: TitoTable<Account>,
    select: Select,
    pub controls: Controls,
}

impl Accounts {
    pub fn new(store: &EventStore, select: Select) -> Self {
        Self { rows: store.view("accounts").model(), select, controls: Controls::default() }
    }
}

impl Projector for Accounts {
    fn name(&self) -> &str {
        "accounts"
    }

    fn select(&self) -> Select {
        self.select.clone()
    }

    async fn project(&self, event: &Event, tx: &Transaction) -> Result<(), BoxError> {
        self.controls.calls.fetch_add(1, Ordering::Relaxed);
        let failing = *self.controls.failing.lock().unwrap();
        let edition = self.controls.edition.load(Ordering::Relaxed);
        let before = self.rows.get(event.entity_id(), tx).await?;
        let account = Account::evolve(before.clone(), event, edition)?;
        match (before, &account) {
            (None, Some(account)) => self.rows.insert(account, tx).await?,
            (Some(_), Some(account)) => self.rows.update(account, tx).await?,
            (_, None) => {
                self.rows.delete(event.entity_id(), tx).await?;
            }
        }
        match failing {
            // After its writes, so that they have to be taken back.
            Some((sequence, how)) if sequence == event.sequence() => match how {
                "panic" => panic!("out of order"),
                "bomb" => std::panic::panic_any(Bomb),
                how => Err(how.into()),
            },
            _ => Ok(()),
        }
    }
}

pub type AccountsOf = Projection<Accounts>;

pub async fn bank(db: &Database) -> EventStore {
    Manager::new(db.clone()).create_event_store(EventStoreConfig::new("bank")).await.unwrap()
}

/// A bank with a projection of all its events.
pub async fn projected(db: &Database) -> (EventStore, AccountsOf, Controls) {
    let bank = bank(db).await;
    let accounts = Accounts::new(&bank, Select::all());
    let controls = accounts.controls.clone();
    let projection = Projection::new(&bank, accounts).await.unwrap();
    (bank, projection, controls)
}

/// Makes events that a bank can have, at random.
pub struct Customers {
    random: fastrand::Rng,
    /// The owners of open accounts.
    open: BTreeMap<u64, u64>,
}

impl Customers {
    pub fn new() -> Self {
        Self { random: fastrand::Rng::with_seed(tito_testkit::seed()), open: BTreeMap::new() }
    }

    /// Few accounts, so that each has many events; owners' names come back once they are free.
    pub fn next(&mut self) -> NewEvent {
        let account = self.random.u64(..12);
        let taken: Vec<u64> = self.open.values().copied().collect();
        let free: Vec<u64> = (0..20).filter(|owner| !taken.contains(owner)).collect();
        let owner = free[self.random.usize(..free.len())];
        let (event_type, text) = match (self.open.contains_key(&account), self.random.u32(..10)) {
            (false, _) => {
                self.open.insert(account, owner);
                ("opened", format!("owner-{owner}"))
            }
            (true, 0) => {
                self.open.remove(&account);
                ("closed", "gone".to_string())
            }
            (true, 1) => {
                self.open.insert(account, owner);
                ("renamed", format!("owner-{owner}"))
            }
            (true, _) => ("changed", self.random.i64(-100..100).to_string()),
        };
        NewEvent::raw(format!("account.{account}"), event_type, text)
    }

    pub async fn append(&mut self, bank: &EventStore, events: usize) {
        for _ in 0..events.div_ceil(50) {
            let some: Vec<_> = (0..events.min(50)).map(|_| self.next()).collect();
            bank.append(some).await.unwrap();
        }
    }
}

/// The accounts that the first events make.
pub async fn by_hand(bank: &EventStore, up_to: u64, edition: u64) -> Vec<Account> {
    let events: Vec<Event> = bank.events(Select::all().up_to(up_to)).try_collect().await.unwrap();
    let mut accounts = BTreeMap::new();
    for event in &events {
        let id = event.entity_id().to_string();
        match Account::evolve(accounts.remove(&id), event, edition).unwrap() {
            Some(account) => accounts.insert(id, account),
            None => None,
        };
    }
    accounts.into_values().collect()
}

/// The rows of a view, each of which has exactly its index entries.
pub async fn rows(bank: &EventStore) -> Vec<Account> {
    let view = bank.view("accounts");
    let model = view.model::<Account>();
    let tx = view.begin().await.unwrap();
    let rows = model.rows().all(&tx).await.unwrap();
    for row in &rows {
        let of_owner = model.query(Account::BY_OWNER).equals(row.owner.as_str()).all(&tx).await.unwrap();
        assert_eq!(of_owner, std::slice::from_ref(row));
    }
    let mut by_balance = model.query(Account::BY_BALANCE).all(&tx).await.unwrap();
    assert!(by_balance.is_sorted_by_key(|account| account.balance));
    by_balance.sort_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(by_balance, rows);
    assert_eq!(tx.scan(KeyRange::prefix("index:"), 1_000_000).await.unwrap().len(), 2 * rows.len());
    tx.rollback().await;
    rows
}

/// The rows are those of all events that there are.
pub async fn assert_folded(bank: &EventStore, edition: u64) {
    let last = bank.last_sequence().await.unwrap();
    let info = bank.projection("accounts").await.unwrap();
    assert_eq!((info.checkpoint, info.behind(), info.failure, info.rebuild), (last, 0, None, None));
    assert_eq!(rows(bank).await, by_hand(bank, last, edition).await);
}

/// A worker of the projection, by steps.
pub fn harness(db: &Database, clock: &TestClock, projection: &AccountsOf) -> Harness {
    Harness::of(projection.subscribe(Worker::builder(TitoQueue::new(db.clone()))), clock)
}

/// A worker of the projection that runs beside the test.
pub struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    pub fn start(db: &Database, projection: &AccountsOf) -> Self {
        let (stop, stopped) = oneshot::channel();
        let worker = projection.subscribe(Worker::builder(TitoQueue::new(db.clone()))).build();
        let task = tokio::spawn(async move {
            worker
                .run(async {
                    let _ = stopped.await;
                })
                .await
                .unwrap();
        });
        Self { stop, task }
    }

    pub async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.unwrap();
    }
}

/// The stored keys and values that begin with `prefix`.
pub async fn stored(db: &Database, prefix: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let tx = db.begin().await.unwrap();
    let found = tx.scan(KeyRange::prefix(prefix), 1_000_000).await.unwrap();
    tx.rollback().await;
    found
}

/// How many keys there are of generations of projections, by their numbers.
pub async fn generations(db: &Database) -> BTreeMap<u64, usize> {
    let mut generations = BTreeMap::new();
    for (key, _) in stored(db, "log:").await {
        let text = String::from_utf8(key).unwrap();
        if let Some((_, rest)) = text.split_once(":view:accounts:") {
            *generations.entry(rest[..16].parse().unwrap()).or_insert(0) += 1;
        }
    }
    generations
}

/// How many rows with their index entries there are, and the checkpoint.
pub fn keys_of(accounts: &[Account]) -> usize {
    3 * accounts.len() + 1
}
