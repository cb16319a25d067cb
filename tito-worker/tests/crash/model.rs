//! What the killed program stores, and how it handles its events.

use serde::{Deserialize, Serialize};
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_core::{TitoError, Transaction};
use tito_worker::Subscription;
use tito_worker::prelude::*;

/// What changes. Its event `account` is counted, transactionally, under `handled:{account:…}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TitoModel)]
#[tito(table = "account", event = "account")]
pub struct Account {
    pub id: String,
    /// The number of changes that the account has seen.
    pub version: u64,
    #[tito(index(name = "by_email", unique))]
    pub email: String,
    #[tito(index)]
    pub color: String,
}

/// One change of an account, by one transaction. Its event `plain` is handled by a plain handler, which notes it under
/// `seen:{change:…}`; its event `effect` by a transactional one, which counts it under `effect:{change:…}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TitoModel)]
#[tito(table = "change", event = "plain", event = "effect")]
#[tito(index(name = "by_account_and_version", fields(account, version), unique))]
pub struct Change {
    pub id: String,
    pub account: String,
    pub version: u64,
    /// The account after it, if it was not deleted.
    pub account_after: Option<Account>,
}

const TOPICS: [&str; 3] = ["account", "plain", "effect"];

/// A worker of all three topics. With `fails` some attempts fail and are made again.
pub fn worker(db: &Database, fails: bool) -> Worker {
    let may_fail =
        move || if fails && fastrand::u8(..) < 8 { Err(TitoError::Application("bad luck".into())) } else { Ok(()) };
    let few = || Subscription::default().new_topic_partitions(4);
    let database = db.clone();
    Worker::builder(TitoQueue::new(db.clone()))
        .subscribe_with(TOPICS[0], few(), move |event: TitoEvent, tx: Transaction| async move {
            count(&tx, &format!("handled:{}", event.entity)).await?;
            may_fail()
        })
        .subscribe_with(TOPICS[1], few(), move |event: TitoEvent| {
            let database = database.clone();
            async move {
                let seen = format!("seen:{}", event.entity).into_bytes();
                database.transaction(|tx| async move { tx.put(seen, Vec::new()).await }).await?;
                may_fail()
            }
        })
        .subscribe_with(TOPICS[2], few(), move |event: TitoEvent, tx: Transaction| async move {
            count(&tx, &format!("effect:{}", event.entity)).await?;
            may_fail()
        })
        .build()
}

async fn count(tx: &Transaction, key: &str) -> Result<(), TitoError> {
    let stored = tx.get(key.as_bytes()).await?;
    let count = stored.map_or(0, |value| number(&value)) + 1;
    tx.put(key.as_bytes().to_vec(), count.to_string().into_bytes()).await
}

pub fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}
