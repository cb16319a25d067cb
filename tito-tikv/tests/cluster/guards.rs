//! Pessimistic locks.
use std::time::Duration;

use tito_mock_tikv::{Fault, FaultRule, MockCluster, Rpc};
use tito_tikv::Error;
use tokio::time::Instant;

use crate::support::{client, cluster, quiet};

const LONG: Duration = Duration::from_secs(30);

#[tokio::test(start_paused = true)]
async fn who_wants_a_held_key_waits_for_its_release() {
    let cluster = cluster(MockCluster::builder().stores(2).split_at(["b"])).await;
    let client = client(&cluster).await;
    let mut transaction = client.begin().await.unwrap();
    transaction.put("a", "1");
    transaction.commit().await.committed().unwrap();
    let mut first = client.guards().await.unwrap();
    let held = first.lock(["b", "a"], LONG).await.unwrap();
    assert_eq!(held[0].value.as_deref(), Some(&b"1"[..]));
    assert_eq!((held[1].key.as_slice(), held[1].value.as_ref()), (&b"b"[..], None));

    let mut second = client.guards().await.unwrap();
    let error = second.lock(["a"], Duration::from_secs(2)).await.unwrap_err();
    assert!(matches!(&error, Error::Locked { holder, .. } if *holder == first.start()), "{error:?}");
    let begun = Instant::now();
    let release = async {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        first.release().await;
    };
    let (locked, ()) = tokio::join!(second.lock(["a", "b"], LONG), release);
    assert_eq!(locked.unwrap().len(), 2);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    drop(second);
    quiet().await;
    assert!(cluster.locks().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_circle_of_waiters_is_told_to_one_of_them() {
    let cluster = cluster(MockCluster::builder()).await;
    let client = client(&cluster).await;
    let (mut one, mut other) = (client.guards().await.unwrap(), client.guards().await.unwrap());
    one.lock(["a"], LONG).await.unwrap();
    other.lock(["b"], LONG).await.unwrap();
    let waits = async {
        let locked = one.lock(["b"], LONG).await;
        (locked, one)
    };
    let closes = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let locked = other.lock(["a"], LONG).await;
        // Whoever gives way releases its keys.
        other.release().await;
        locked
    };
    let ((first, one), second) = tokio::join!(waits, closes);
    assert!(matches!(&second, Err(Error::Deadlock { holder, .. }) if *holder == one.start()), "{second:?}");
    first.unwrap();
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_them_and_without_a_holder_they_go() {
    let cluster = cluster(MockCluster::builder().split_at(["b"])).await;
    let [alive, dead] = [client(&cluster).await, client(&cluster).await];
    let mut held = alive.guards().await.unwrap();
    held.lock(["a", "b"], LONG).await.unwrap();
    tokio::time::sleep(Duration::from_secs(90)).await;
    let mut other = dead.guards().await.unwrap();
    assert!(matches!(other.lock(["b"], Duration::from_secs(3)).await, Err(Error::Locked { .. })));

    other.lock(["c"], LONG).await.unwrap();
    // Its process is gone: no heartbeat comes any more, and nobody releases the keys.
    cluster.faults().add(FaultRule::on(Rpc::KvTxnHeartBeat, Fault::DropRequest).keys("c"));
    let begun = Instant::now();
    held.lock(["c"], LONG).await.unwrap();
    let waited = begun.elapsed();
    assert!((18..23).contains(&waited.as_secs()), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn one_fault_at_a_lock_leaves_it_held_or_free() {
    for fault in [Fault::NotLeader, Fault::EpochNotMatch, Fault::DropRequest, Fault::DropResponse, Fault::StaleCommand]
    {
        for rpc in [Rpc::KvPessimisticLock, Rpc::KvPessimisticRollback] {
            for nth in 1..=2 {
                let cluster = cluster(MockCluster::builder().stores(2).split_at(["b"])).await;
                let client = client(&cluster).await;
                cluster.faults().add(FaultRule::on(rpc, fault.clone()).nth(nth));
                let mut guards = client.guards().await.unwrap();
                assert_eq!(guards.lock(["a", "b"], LONG).await.unwrap().len(), 2, "{fault:?}");
                assert_eq!(cluster.locks().len(), 2);
                guards.release().await;
                assert!(cluster.locks().is_empty(), "{fault:?} at {rpc:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_leaves_nothing() {
    let cluster = cluster(MockCluster::builder().split_at(["b"])).await;
    let client = client(&cluster).await;
    let mut first = client.guards().await.unwrap();
    first.lock(["b"], LONG).await.unwrap();
    let mut second = client.guards().await.unwrap();
    let given_up = tokio::time::timeout(Duration::from_millis(300), second.lock(["a", "b"], LONG)).await;
    assert!(given_up.is_err());
    drop(second);
    first.release().await;
    quiet().await;
    assert!(cluster.locks().is_empty());
}
