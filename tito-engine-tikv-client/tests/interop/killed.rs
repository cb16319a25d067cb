//! A client that is killed at a step of its commit is cleaned up by one of the other kind.

use std::time::Duration;

use tito_core::keys::KeyRange;
use tito_core::{Database, TitoError};
use tito_test_engines::TestClock;
use tito_test_engines::mock_tikv::{Fault, FaultRule, MockCluster, Rpc};

use crate::support::*;

/// Keys in regions of their own; the first is the primary one.
const KEYS: [&str; 3] = ["apple", "melon", "tomato"];

async fn put_all(db: &Database, value: &str) -> Result<(), TitoError> {
    db.transaction(|tx| async move {
        for key in KEYS {
            tx.put(key.as_bytes().to_vec(), value.as_bytes().to_vec()).await?;
        }
        Ok(())
    })
    .await
}

/// What the survivor does first.
#[derive(Clone, Copy, Debug)]
enum First {
    Get,
    BatchGet,
    Scan,
    ScanReverse,
    Put,
    Insert,
}

const FIRST: [First; 6] = [First::Get, First::BatchGet, First::Scan, First::ScanReverse, First::Put, First::Insert];

/// Every value in one snapshot, as it is read in this way.
async fn read(db: &Database, first: First) -> Vec<Option<Vec<u8>>> {
    let tx = db.begin().await.unwrap();
    let mut found = Vec::new();
    let range = KeyRange::new("a", "z");
    let rows = match first {
        First::BatchGet => {
            return tx.batch_get(KEYS.iter().map(|key| key.as_bytes().to_vec()).collect()).await.unwrap();
        }
        First::Scan => tx.scan(range, 10).await.unwrap(),
        First::ScanReverse => tx.scan_reverse(range, 10).await.unwrap(),
        First::Get | First::Put | First::Insert => {
            for key in KEYS {
                found.push(tx.get(key.as_bytes()).await.unwrap());
            }
            return found;
        }
    };
    let value = |key: &str| rows.iter().find(|(found, _)| found == key.as_bytes()).map(|(_, value)| value.clone());
    KEYS.iter().map(|key| value(key)).collect()
}

/// Kills a client of a kind at the call to a key, and lets one of the other kind go on.
async fn kill(dying: Kind, rpc: Rpc, at: &str, fault: &Fault, first: First) {
    let what = format!("{dying:?} killed at {rpc:?} of {at} by {fault:?}, then {first:?}");
    let clock = TestClock::new();
    let now = clock.shared();
    let cluster = MockCluster::builder()
        .split_default_keyspace(false)
        .stores(3)
        .split_at(["g", "p"])
        .clock(std::sync::Arc::new(move || now.now_millis()))
        .start()
        .await
        .unwrap();
    let survivor = connect(dying.other(), &cluster, Some(&clock), false).await;
    let process = Process::start(dying, &cluster, &clock).await;
    eventually("what connecting has written is settled", || cluster.locks().is_empty()).await;
    match fault {
        // Only the first such call, for ever.
        Fault::Hang => cluster.faults().add(FaultRule::on(rpc, Fault::Hang).keys(at).nth(1)),
        // It is carried out, and no answer comes, nor one to what the client asks then.
        _ => {
            cluster.faults().add(FaultRule::on(Rpc::KvCheckTxnStatus, Fault::Hang));
            cluster.faults().add(FaultRule::on(Rpc::KvBatchRollback, Fault::Hang));
            cluster.faults().add(FaultRule::on(rpc, fault.clone()).keys(at))
        }
    };
    let db = process.db.clone();
    process.spawn(async move { drop(put_all(&db, "dead").await) });
    eventually(&what, || cluster.faults().injected().total() > 0).await;
    // Whatever else it has sent by then is done.
    let mut before = cluster.locks();
    loop {
        tokio::time::sleep(Duration::from_millis(3)).await;
        let now = cluster.locks();
        if now == before {
            break;
        }
        before = now;
    }
    process.kill();
    cluster.faults().clear();
    clock.advance(Duration::from_secs(25));

    let is_committed = {
        let found = in_time(&what, read(&survivor, first)).await;
        assert!(found.iter().all(|value| *value == found[0]), "{what}: a part of it is there: {found:?}");
        found[0].is_some()
    };
    if rpc == Rpc::KvPrewrite {
        assert!(!is_committed, "{what}: it was committed without a commit");
    }
    if rpc == Rpc::KvCommit && (at != KEYS[0] || *fault != Fault::Hang) {
        assert!(is_committed, "{what}: its primary key was committed");
    }
    if let First::Insert = first {
        let inserted = survivor.transaction(|tx| async move {
            for key in KEYS {
                tx.insert(key.as_bytes().to_vec(), b"new".to_vec()).await?;
            }
            Ok(())
        });
        match in_time(&what, inserted).await {
            Ok(()) => assert!(!is_committed, "{what}: an insert overwrote it"),
            Err(TitoError::AlreadyExists { .. }) => assert!(is_committed, "{what}: an insert met what is not there"),
            Err(error) => panic!("{what}: {error:?}"),
        }
    }
    // A read may have passed locks of what it knew to be over; a writer takes them away.
    in_time(&what, put_all(&survivor, "new")).await.unwrap();
    eventually(&format!("{what}: no key is locked"), || cluster.locks().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_either_kind_killed_at_any_step_is_cleaned_up_by_the_other() {
    for dying in KINDS {
        for rpc in [Rpc::KvPrewrite, Rpc::KvCommit] {
            for at in KEYS {
                for fault in [Fault::Hang, Fault::DropResponse] {
                    for first in FIRST {
                        kill(dying, rpc, at, &fault, first).await;
                    }
                }
            }
        }
    }
}

/// Its guards hold nobody up for long, and go once their time is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guards_of_a_dead_client_of_either_kind_hold_the_other_up_for_a_moment_only() {
    for dying in KINDS {
        let cluster = MockCluster::builder().split_default_keyspace(false).stores(3).start().await.unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let held = {
            let cluster = cluster.clone();
            runtime.spawn(async move {
                let db = connect(dying, &cluster, None, true).await;
                let tx = db.begin().await.unwrap();
                tx.put(b"apple".to_vec(), b"dead".to_vec()).await.unwrap();
                std::mem::forget(tx);
                std::mem::forget(db);
            })
        };
        in_time("the guard is taken", held).await.unwrap();
        eventually("it is held", || cluster.locks().len() == 1).await;
        runtime.shutdown_background();
        let survivor = connect(dying.other(), &cluster, None, true).await;
        let raised = survivor.transaction(|tx| async move { tx.put(b"apple".to_vec(), b"new".to_vec()).await });
        in_time("a writer beside a dead client's guard", raised).await.unwrap();
    }
}
