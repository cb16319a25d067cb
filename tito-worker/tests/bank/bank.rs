//! What is stored: accounts, records of transfers, effects.

use std::collections::BTreeMap;

use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_core::{TitoError, Transaction};
use tito_worker::prelude::*;

pub const ACCOUNTS: usize = 300;
pub const OPENING_BALANCE: i64 = 1_000;
pub const TOTAL: i64 = ACCOUNTS as i64 * OPENING_BALANCE;

/// The topic of the transfers' events.
pub const TOPIC: &str = "transfer";
pub const PARTITIONS: u16 = 6;

/// Where regions begin at first: a transfer's accounts, event, record and marker are in different ones, and so are a
/// transfer's effect and its event.
pub const BOUNDARIES: [&str; 8] =
    ["account:100", "account:200", "effect:", "event:", "event:transfer:0003", "topic:", "transfer:", "txn:"];

/// An amount to be moved from one account to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Unique: every attempt that may be told apart has one of its own.
    pub id: String,
    pub from: usize,
    pub to: usize,
    pub amount: i64,
}

impl Transfer {
    /// What transfer `number` of a run moves, whichever task makes it and whenever.
    pub fn random(id: String, random: &mut fastrand::Rng) -> Self {
        let from = random.usize(..ACCOUNTS);
        let to = (from + random.usize(1..ACCOUNTS)) % ACCOUNTS;
        Self { id, from, to, amount: random.i64(1..=20) }
    }

    /// Changes both accounts, writes the record and publishes the event, all in `tx`.
    pub async fn write(&self, queue: &TitoQueue, tx: &Transaction) -> Result<(), TitoError> {
        let accounts = vec![account(self.from), account(self.to)];
        let balances = tx.batch_get(accounts.clone()).await?;
        for ((key, balance), change) in accounts.into_iter().zip(balances).zip([-self.amount, self.amount]) {
            let balance = number(&balance.unwrap()) + change;
            tx.put(key, balance.to_string().into_bytes()).await?;
        }
        let record = format!("{} {} {}", self.from, self.to, self.amount);
        tx.insert(format!("transfer:{}", self.id).into_bytes(), record.into_bytes()).await?;
        let entity = format!("account:{}", self.from);
        queue.publish(Publish::new(TOPIC, entity).action("transfer").payload(&self.id)?, tx).await?;
        Ok(())
    }
}

/// Opens the accounts and creates the topic.
pub async fn open_accounts(db: &Database) {
    TitoQueue::new(db.clone()).create_topic(TOPIC, PARTITIONS).await.unwrap();
    db.transaction(|tx| async move {
        for number in 0..ACCOUNTS {
            tx.put(account(number), OPENING_BALANCE.to_string().into_bytes()).await?;
        }
        Ok(())
    })
    .await
    .unwrap();
}

pub fn account(number: usize) -> Vec<u8> {
    format!("account:{number:03}").into_bytes()
}

pub fn record(id: &str) -> Vec<u8> {
    format!("transfer:{id}").into_bytes()
}

/// A worker that notes each transfer's effect, by adding one to the number under `effect:{id}`.
pub fn worker(db: &Database, share: PartitionConfig) -> Worker {
    Worker::builder(TitoQueue::new(db.clone()))
        .partitions(share)
        .subscribe_transactional(TOPIC, Subscription::default(), |event: TitoEvent, tx: Transaction| async move {
            let effect = format!("effect:{}", event.payload::<String>()?).into_bytes();
            let times = tx.get(&effect).await?.map_or(0, |value| number(&value));
            tx.put(effect, (times + 1).to_string().into_bytes()).await
        })
        .build()
}

/// All keys that begin with `prefix`, without it, with their values.
pub async fn stored(tx: &Transaction, prefix: &str) -> Result<BTreeMap<String, Vec<u8>>, TitoError> {
    let found = tx.scan(KeyRange::prefix(prefix), 1_000_000).await?;
    let text = |key: Vec<u8>| String::from_utf8(key[prefix.len()..].to_vec()).unwrap();
    Ok(found.into_iter().map(|(key, value)| (text(key), value)).collect())
}

pub fn number(value: &[u8]) -> i64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}
