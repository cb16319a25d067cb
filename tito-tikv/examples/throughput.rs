//! How many transactions a second, and how long large ones take, on a cluster in the same process: what the client
//! costs, not what TiKV does.
//!
//! `cargo run --release -p tito-tikv --example throughput`
#![allow(clippy::print_stdout, clippy::unwrap_used)]
use std::time::{Duration, Instant};

use tito_mock_tikv::MockCluster;
use tito_tikv::Client;

const SECONDS: u64 = 3;

async fn insert(client: &Client, task: usize, number: usize) {
    let mut transaction = client.begin().await.unwrap();
    transaction.insert(format!("row/{task:03}/{number:08}"), "a row of some length");
    transaction.insert(format!("event/{task:03}/{number:08}"), "its event");
    transaction.commit().await.committed().unwrap();
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let cluster = MockCluster::builder().stores(3).split_at(["event/5", "row/", "row/5"]).start().await.unwrap();
    let client = Client::builder(cluster.pd_endpoints()).connect().await.unwrap();
    for tasks in [1, 64] {
        let end = Instant::now() + Duration::from_secs(SECONDS);
        let running: Vec<_> = (0..tasks)
            .map(|task| {
                let client = client.clone();
                tokio::spawn(async move {
                    let mut number = 0;
                    while Instant::now() < end {
                        insert(&client, task + 100 * tasks, number).await;
                        number += 1;
                    }
                    number
                })
            })
            .collect();
        let mut done = 0;
        for task in running {
            done += task.await.unwrap();
        }
        println!("{tasks} tasks: {} transactions a second", done as u64 / SECONDS);
    }
    for keys in [2_000, 8_000, 20_000] {
        let mut transaction = client.begin().await.unwrap();
        for number in 0..keys {
            transaction.put(format!("large/{keys}/{number:06}"), vec![7; 1_000]);
        }
        let begun = Instant::now();
        transaction.commit().await.committed().unwrap();
        println!("{keys} keys of 1 kB: {:?}", begun.elapsed());
    }
    client.close().await;
    cluster.shutdown().await;
}
