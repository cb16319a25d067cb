//! The cluster through the unmodified client.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod faults;
mod pages;
mod pd;
mod reads_and_writes;
mod servers;
mod topology;
mod transfers;

use std::time::Duration;

use tikv_client::{
    Backoff, CheckLevel, Config, RawClient, RetryOptions, Transaction, TransactionClient, TransactionOptions,
};
use tito_mock_tikv::MockCluster;

/// Three stores, regions that begin at `g`, `m` and `t`, and no others.
async fn three_stores() -> MockCluster {
    let builder = MockCluster::builder().stores(3).split_at(["g", "m", "t"]);
    builder.split_default_keyspace(false).start().await.unwrap()
}

async fn connect(cluster: &MockCluster) -> TransactionClient {
    TransactionClient::new(cluster.pd_endpoints()).await.unwrap()
}

async fn connect_raw(cluster: &MockCluster) -> RawClient {
    RawClient::new(cluster.pd_endpoints()).await.unwrap()
}

/// Short waits between attempts and no panic if a failed transaction is dropped.
fn options() -> TransactionOptions {
    let region_backoff = Backoff::no_jitter_backoff(1, 20, 40);
    let lock_backoff = Backoff::no_jitter_backoff(1, 20, 40);
    TransactionOptions::new_optimistic()
        .retry_options(RetryOptions::new(region_backoff, lock_backoff))
        .drop_check(CheckLevel::None)
}

async fn begin(client: &TransactionClient) -> Transaction {
    client.begin_with_options(options()).await.unwrap()
}

async fn put(client: &TransactionClient, key: &str, value: &str) -> tikv_client::Result<()> {
    let mut transaction = client.begin_with_options(options()).await?;
    transaction.put(key.to_owned(), value.to_owned()).await?;
    transaction.commit().await.map(drop)
}

/// The client connects to PD no more than once a second and fails meanwhile, so this tries until it does.
async fn put_when_reconnected(client: &TransactionClient, key: &str, value: &str) {
    while put(client, key, value).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn get(client: &TransactionClient, key: &str) -> Option<String> {
    let mut transaction = begin(client).await;
    let value = transaction.get(key.to_owned()).await.unwrap();
    transaction.rollback().await.unwrap();
    value.map(|value| String::from_utf8(value).unwrap())
}

async fn keys(client: &TransactionClient, from: &str, to: &str) -> Vec<String> {
    let mut transaction = begin(client).await;
    let keys = transaction.scan_keys(from.to_owned()..to.to_owned(), 1000).await.unwrap();
    let keys = keys.map(|key| String::from_utf8(key.into()).unwrap()).collect();
    transaction.rollback().await.unwrap();
    keys
}

fn config() -> Config {
    Config::default().with_timeout(Duration::from_secs(5))
}
