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
    let result = move_amount(&mut transaction, from, to, amount).await;
    if result.is_err() {
        // What this cannot clean up is taken for dead later.
        let _ = transaction.rollback().await;
    }
    result
}

async fn move_amount(transaction: &mut Transaction, from: usize, to: usize, amount: i64) -> tikv_client::Result<()> {
    for (number, change) in [(from, -amount), (to, amount)] {
        let value = transaction.get(account(number)).await?.unwrap();
        let balance: i64 = String::from_utf8(value).unwrap().parse().unwrap();
        transaction.put(account(number), (balance + change).to_string()).await?;
    }
    transaction.commit().await.map(drop)
}

/// Takes all locks for dead. Readers do so too, but the client's reads give up at a lock whose primary is not there, as a
/// prewrite can leave it that was done in part. Only for optimistic transactions: the client takes a pessimistic lock that
/// it removed for a whole transaction rolled back.
async fn clean_up(client: &TransactionClient, cluster: &MockCluster) {
    cluster.jump_clock(30_000);
    if let Ok(now) = client.current_timestamp().await {
        // It is struck by faults as all else; the next one goes on where this one stopped.
        let _ = client.cleanup_locks(.., &now, Default::default()).await;
    }
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
        for rpc in [Rpc::KvGet, Rpc::KvScan, Rpc::KvPrewrite, Rpc::KvCommit, Rpc::KvCheckTxnStatus] {
            let seed = seed + rpc as u64;
            cluster.faults().add(FaultRule::on(rpc, fault.clone()).with_probability(0.02, seed));
        }
    }
    let tasks = (0..4).map(|task| {
        let (client, cluster) = (client.clone(), cluster.clone());
        tokio::spawn(async move {
            let mut random = fastrand::Rng::with_seed(seed + task);
            let (mut transfers, mut sums) = (0, 0);
            for _ in 0..30 {
                let from = random.usize(..ACCOUNTS);
                let to = (from + random.usize(1..ACCOUNTS)) % ACCOUNTS;
                match transfer(&client, from, to, random.i64(1..10)).await {
                    Ok(()) => transfers += 1,
                    Err(_) => clean_up(&client, &cluster).await,
                }
                if random.u8(..4) == 0 {
                    cluster.shuffle(&mut random);
                }
                if let Ok(sum) = sum(&client).await {
                    assert_eq!(sum, START * ACCOUNTS as i64, "seed {seed}");
                    sums += 1;
                }
            }
            (transfers, sums)
        })
    });
    let (mut transfers, mut sums) = (0, 0);
    for task in tasks.collect::<Vec<_>>() {
        let (more_transfers, more_sums) = task.await.unwrap();
        transfers += more_transfers;
        sums += more_sums;
    }
    assert!(transfers > 20 && sums > 20, "seed {seed}: {transfers} transfers, {sums} sums");
    for fault in &faults {
        assert!(cluster.faults().injected().of(fault) > 0, "seed {seed}: {fault:?}");
    }
    cluster.faults().clear();
    clean_up(&client, &cluster).await;
    assert_eq!(sum(&client).await.unwrap(), START * ACCOUNTS as i64, "seed {seed}");
    assert_eq!(cluster.locks(), [], "seed {seed}");
    cluster.shutdown().await;
}
