//! Many concurrent transactions.

use std::future::Future;

use futures::future::join_all;
use tito_core::{Database, Result, Transaction, TxOptions};

use crate::conformance::Opener;
use crate::conformance::support::*;
use crate::random::seed;

/// Commits by hand, again and again until there is no conflict. A database makes its own transactions meet less often,
/// and that would hide an engine that finds no conflicts.
async fn until_committed<F, Fut>(engine: &Database, write: F) -> Result<()>
where
    F: Fn(Transaction) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    loop {
        let tx = engine.begin().await?;
        let outcome = match write(tx.clone()).await {
            Ok(()) => tx.commit().await.map(drop),
            Err(error) => {
                tx.rollback().await;
                Err(error)
            }
        };
        match outcome {
            Err(error) if error.is_retryable() => tokio::task::yield_now().await,
            outcome => return outcome,
        }
    }
}

pub async fn increments_of_one_counter_sum_up(opener: Opener) {
    const TASKS: i64 = 16;
    const EACH: i64 = 5;
    let database = open(opener).await;
    let tasks = (0..TASKS).map(|_| {
        let engine = database.database();
        tokio::spawn(async move {
            for _ in 0..EACH {
                until_committed(&engine, |tx| async move { increment(&tx, "counter").await }).await.unwrap();
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    assert_eq!(read(&database.database(), "counter").await, Some((TASKS * EACH).to_string()));
}

const ACCOUNTS: usize = 8;
const SUM: i64 = 100 * ACCOUNTS as i64;

fn account(number: usize) -> String {
    format!("account:{number}")
}

pub async fn transfers_keep_the_sum_in_every_snapshot(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let tx = engine.begin().await.unwrap();
    for number in 0..ACCOUNTS {
        put_number(&tx, &account(number), 100).await.unwrap();
    }
    tx.commit().await.unwrap();

    let seed = seed();
    let transfers = (0..6).map(|task| {
        let engine = database.database();
        tokio::spawn(async move {
            let mut random = fastrand::Rng::with_seed(seed.wrapping_add(task));
            for _ in 0..10 {
                let (from, to) = (account(random.usize(0..ACCOUNTS)), account(random.usize(0..ACCOUNTS)));
                let amount = random.i64(1..50);
                transfer(&engine, &from, &to, amount).await.unwrap();
            }
        })
    });
    let audits = (0..2).map(|_| {
        let engine = database.database();
        tokio::spawn(async move {
            for _ in 0..20 {
                let tx = engine.begin().await.unwrap();
                assert_eq!(sum_by_gets(&tx).await, SUM);
                assert_eq!(sum_by_scan(&tx).await, SUM);
            }
        })
    });
    for task in join_all(transfers.chain(audits)).await {
        task.unwrap();
    }
    assert_eq!(sum_by_scan(&engine.begin().await.unwrap()).await, SUM);
}

async fn transfer(engine: &Database, from: &str, to: &str, amount: i64) -> Result<()> {
    let transfer = |tx: Transaction| async move {
        let left = number(&tx, from).await? - amount;
        put_number(&tx, from, left).await?;
        tokio::task::yield_now().await;
        let right = number(&tx, to).await? + amount;
        put_number(&tx, to, right).await
    };
    until_committed(engine, transfer).await
}

async fn sum_by_gets(tx: &Transaction) -> i64 {
    let mut sum = 0;
    for index in 0..ACCOUNTS {
        sum += number(tx, &account(index)).await.unwrap();
        tokio::task::yield_now().await;
    }
    sum
}

async fn sum_by_scan(tx: &Transaction) -> i64 {
    let entries = scan(tx, "account:", "account;", 100).await;
    assert_eq!(entries.len(), ACCOUNTS);
    entries.iter().filter_map(|entry| entry.split('=').nth(1)).map(|number| number.parse::<i64>().unwrap()).sum()
}

pub async fn writers_of_different_keys_all_get_through_at_the_first_attempt(opener: Opener) {
    let database = open(opener).await;
    let tasks = (0..16).map(|task| {
        let engine = database.database();
        tokio::spawn(async move {
            for round in 0..5 {
                let put: Result<()> = engine
                    .transaction_with(TxOptions::default().max_attempts(1), |tx| async move {
                        tx.put(format!("{task:02}:{round}").into_bytes(), vec![]).await
                    })
                    .await;
                put.unwrap();
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    assert_eq!(scan(&database.database().begin().await.unwrap(), "0", "9", 1000).await.len(), 80);
}
