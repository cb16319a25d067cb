//! What must hold once nothing goes wrong and nothing is due any more.

use std::time::Duration;

use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_testkit::MockCluster;
use tito_worker::{PartitionConfig, WorkerReport};

use crate::bank::{ACCOUNTS, OPENING_BALANCE, TOTAL, number, stored, worker};
use crate::ledger::{Ledger, Said};

/// Later than every lock lives, and than every retry is postponed.
const LATER_MILLIS: i64 = 3_600_000;

/// Handles all events that are left, those postponed included.
pub async fn drain(cluster: &MockCluster, db: &Database) -> WorkerReport {
    cluster.jump_clock(LATER_MILLIS);
    worker(db, PartitionConfig::all()).drain().await.unwrap()
}

/// Checks everything that is stored against what was said of the transfers.
pub async fn check(cluster: &MockCluster, db: &Database, ledger: &Ledger) {
    let tx = db.begin().await.unwrap();
    for nothing in ["event:", "dead:"] {
        assert_eq!(stored(&tx, nothing).await.unwrap().len(), 0, "entries under {nothing}");
    }
    let records = stored(&tx, "transfer:").await.unwrap();
    let effects = stored(&tx, "effect:").await.unwrap();
    let accounts = stored(&tx, "account:").await.unwrap();
    tx.rollback().await;

    let said = ledger.said();
    let mut expected = [OPENING_BALANCE; ACCOUNTS];
    for (id, (transfer, said)) in &said {
        let is_there = records.contains_key(id);
        match said {
            Said::Done => assert!(is_there, "said to be done, but not there: {transfer:?}"),
            Said::NotDone => assert!(!is_there, "said not to be done, but there: {transfer:?}"),
            Said::Unknown => {}
        }
        // The rest goes with the record, whatever was said.
        let times = effects.get(id).map_or(0, |value| number(value));
        assert_eq!(times, i64::from(is_there), "effects of {transfer:?}, {said:?}, there: {is_there}");
        if is_there {
            let record = format!("{} {} {}", transfer.from, transfer.to, transfer.amount);
            assert_eq!(records[id], record.into_bytes(), "{transfer:?}");
            expected[transfer.from] -= transfer.amount;
            expected[transfer.to] += transfer.amount;
        }
    }
    assert!(records.keys().chain(effects.keys()).all(|id| said.contains_key(id)), "something that nobody wrote");
    let balances: Vec<i64> = accounts.values().map(|balance| number(balance)).collect();
    assert_eq!(balances, expected, "the balances are not what the transfers made them");
    assert_eq!(balances.iter().sum::<i64>(), TOTAL);

    assert_no_locks(cluster, db).await;
}

/// Reads take the locks of the dead away, though not all at once: a snapshot that knows what became of a transaction reads
/// past its other locks, and what is to go does so while nobody waits for it.
async fn assert_no_locks(cluster: &MockCluster, db: &Database) {
    const SNAPSHOTS: usize = 200;
    for _ in 0..SNAPSHOTS {
        let tx = db.begin().await.unwrap();
        // Whatever workers have written beside: what they did by minute, for example.
        tx.scan(KeyRange::prefix(""), 1_000_000).await.unwrap();
        tx.rollback().await;
        if cluster.locks().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(cluster.locks(), [], "locks are left after everything was read");
}

/// Ends everything, and checks that no task of the engines or of the cluster is left.
pub async fn assert_nothing_goes_on(cluster: MockCluster, engines: Vec<Database>) {
    for database in &engines {
        database.close().await;
    }
    drop(engines);
    cluster.shutdown().await;
    drop(cluster);
    let metrics = tokio::runtime::Handle::current().metrics();
    // Tasks of connections that were just closed take a moment to notice.
    for _ in 0..1_000 {
        if metrics.num_alive_tasks() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} tasks go on though everything was closed", metrics.num_alive_tasks());
}
