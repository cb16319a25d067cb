use std::sync::Arc;

use tito_mock_tikv::{Fault, FaultRule, Rpc};

use super::*;

const ACCOUNTS: usize = 8;
const START: i64 = 100;

fn account(number: usize) -> String {
    // One in each region and two that share one.
    format!("{}/account", ["a", "b", "h", "i", "n", "o", "u", "v"][number])
}

async fn transfer(client: &TransactionClient, from: usize, to: usize, amount: i64) -> tikv_client::Result<()> {
    let mut transaction = client.begin_with_options(options()).await?;
    for (number, change) in [(from, -amount), (to, amount)] {
        let value = transaction.get(account(number)).await?.unwrap();
        let balance: i64 = String::from_utf8(value).unwrap().parse().unwrap();
        transaction.put(account(number), (balance + change).to_string()).await?;
    }
    transaction.commit().await.map(drop)
}

async fn sum(client: &TransactionClient) -> tikv_client::Result<i64> {
    let mut transaction = client.begin_with_options(options()).await?;
    let pairs = transaction.scan("a".to_owned().."z".to_owned(), 100).await?;
    let balances: Vec<i64> = pairs.map(|pair| String::from_utf8(pair.1).unwrap().parse().unwrap()).collect();
    transaction.rollback().await?;
    assert_eq!(balances.len(), ACCOUNTS);
    Ok(balances.iter().sum())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sum_of_accounts_is_constant_in_every_snapshot_whatever_goes_wrong() {
    let seed = 17;
    let cluster = three_stores().await;
    let client = Arc::new(connect(&cluster).await);
    for number in 0..ACCOUNTS {
        put(&client, &account(number), &START.to_string()).await.unwrap();
    }
    let faults = [
        Fault::NotLeader,
        Fault::EpochNotMatch,
        Fault::ServerIsBusy,
        Fault::DropRequest,
        Fault::DropResponse,
        Fault::Delay(Duration::from_millis(3)),
    ];
    for fault in &faults {
        for rpc in [Rpc::KvGet, Rpc::KvScan, Rpc::KvPrewrite, Rpc::KvCommit, Rpc::KvResolveLock] {
            let seed = seed + rpc as u64;
            cluster.faults().add(FaultRule::on(rpc, fault.clone()).with_probability(0.02, seed));
        }
    }
    let tasks = (0..4).map(|task| {
        let (client, cluster) = (client.clone(), cluster.clone());
        tokio::spawn(async move {
            let mut random = fastrand::Rng::with_seed(seed + task);
            let mut done = 0;
            for _ in 0..60 {
                let from = random.usize(..ACCOUNTS);
                let to = (from + random.usize(1..ACCOUNTS)) % ACCOUNTS;
                match transfer(&client, from, to, random.i64(1..10)).await {
                    Ok(()) => done += 1,
                    // Lets others take the locks of the failed for dead.
                    Err(_) => cluster.jump_clock(5_000),
                }
                if random.u8(..4) == 0 {
                    cluster.shuffle(&mut random);
                }
                if let Ok(sum) = sum(&client).await {
                    assert_eq!(sum, START * ACCOUNTS as i64, "seed {seed}");
                }
            }
            done
        })
    });
    let mut done = 0;
    for task in tasks.collect::<Vec<_>>() {
        done += task.await.unwrap();
    }
    cluster.faults().clear();
    cluster.jump_clock(60_000);
    assert_eq!(sum(&client).await.unwrap(), START * ACCOUNTS as i64, "seed {seed}");
    assert!(done > 0, "seed {seed}");
    for fault in &faults {
        assert!(cluster.faults().injected().of(fault) > 0, "seed {seed}: {fault:?}");
    }
    cluster.shutdown().await;
}
