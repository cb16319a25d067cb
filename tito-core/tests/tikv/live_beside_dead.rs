//! Healing what dead clients left does no harm to a transaction that lives.

use std::time::Duration;

use tito_core::prelude::*;
use tito_test_engines::TestClock;
use tito_test_engines::mock_tikv::{Fault, FaultRule, Rpc};

use crate::support::*;

/// Readers then meet locks whose primary key is not there yet, as after a crash.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prewrite_in_several_batches_that_takes_a_while_is_let_be() {
    let cluster = four_regions().await;
    let db = connect(&cluster).await;
    put_all(&db, &APART, "old").await.unwrap();
    no_locks(&cluster).await;
    let slow = Fault::Delay(Duration::from_millis(600));
    cluster.faults().add(FaultRule::on(Rpc::KvPrewrite, slow).keys(APART[0]).nth(1));
    let writer = {
        let db = db.clone();
        tokio::spawn(async move {
            let tx = db.begin().await.unwrap();
            for key in APART {
                tx.put(key.as_bytes().to_vec(), b"new".to_vec()).await.unwrap();
            }
            tx.commit().await
        })
    };
    eventually("the other keys are locked", || cluster.locks().len() == 3).await;
    // Their snapshot is before the commit, so what they wait for is that the locks say so.
    let seen = in_time(get_all(&db, &APART)).await;
    assert_eq!(seen, vec![seen[0].clone(); 4], "half of a transaction is visible");
    writer.await.unwrap().expect("the writer was alive, and its locks were young");
    assert_eq!(get_all(&db, &APART).await, vec![Some("new".to_string()); 4]);
    no_locks(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_is_older_than_a_lock_lives_can_commit() {
    let clock = TestClock::new();
    let cluster = four_regions_at(&clock).await;
    let db = builder(&cluster).clock(clock.shared()).connect().await.unwrap();
    let tx = db.begin().await.unwrap();
    for number in 0..100 {
        tx.put(format!("grape/{number:03}").into_bytes(), vec![b'x'; 1024]).await.unwrap();
    }
    clock.advance(Duration::from_secs(14));
    assert_eq!(tx.get(b"grape/000").await.unwrap().map(|value| value.len()), Some(1024));
    tx.commit().await.unwrap();
    assert_eq!(everything(&db).await.len(), 100);
    no_locks(&cluster).await;
}

/// The client prewrites the rest after its own locks were taken for a dead one's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_living_transaction_taken_for_dead_fails_as_a_whole() {
    for hung in [Rpc::KvPrewrite, Rpc::KvCommit] {
        let clock = TestClock::new();
        let cluster = four_regions_at(&clock).await;
        let db = builder(&cluster).clock(clock.shared()).connect().await.unwrap();
        let slow =
            builder(&cluster).clock(clock.shared()).rpc_timeout(Duration::from_secs(60)).connect().await.unwrap();
        let rule = cluster.faults().add(FaultRule::on(hung, Fault::Hang).keys(APART[0]).nth(1));
        let tx = slow.begin().await.unwrap();
        for key in APART {
            tx.put(key.as_bytes().to_vec(), b"slow".to_vec()).await.unwrap();
        }
        let committing = tokio::spawn(async move { tx.commit().await });
        let locked = if hung == Rpc::KvPrewrite { 3 } else { 4 };
        eventually("it hangs with its locks", || {
            cluster.locks().len() == locked && cluster.faults().injected().total() == 1
        })
        .await;
        clock.advance(Duration::from_secs(20));
        assert_eq!(in_time(get_all(&db, &APART)).await, vec![None; 4]);
        assert!(cluster.faults().remove(rule));
        let outcome = in_time(committing).await.unwrap();
        assert!(matches!(outcome, Err(TitoError::Conflict { .. })), "{hung:?}: {outcome:?}");
        assert_eq!(get_all(&db, &APART).await, vec![None; 4], "{hung:?}");
        no_locks(&cluster).await;
    }
}

/// Of what a dead client left only its own keys are healed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn healing_a_dead_transaction_spares_a_live_one_whose_locks_lie_between() {
    let clock = TestClock::new();
    let cluster = four_regions_at(&clock).await;
    let db = builder(&cluster).clock(clock.shared()).connect().await.unwrap();
    cluster.faults().add(FaultRule::on(Rpc::KvPrewrite, Fault::Hang).keys("apple").nth(1));
    let settings = || builder(&cluster).clock(clock.shared()).rpc_timeout(Duration::from_secs(60));
    let process = Process::start(settings()).await;
    let dying = process.db.clone();
    process.spawn(async move { put_all(&dying, &["apple", "grape 1", "grape 5"], "dead").await });
    eventually("the dead one's keys are locked", || cluster.locks().len() == 2).await;
    process.kill();
    clock.advance(Duration::from_secs(20));

    let rule = cluster.faults().add(FaultRule::on(Rpc::KvCommit, Fault::Hang).keys("grape 3").nth(1));
    let live = settings().connect().await.unwrap();
    let committing = tokio::spawn(async move { put_all(&live, &["grape 3"], "live").await });
    eventually("the live one's key is locked", || cluster.locks().len() == 3).await;
    assert_eq!(in_time(get_all(&db, &["grape 1", "grape 5"])).await, vec![None; 2]);
    // What a read has found dead is healed beside it.
    let left = || cluster.locks().into_iter().map(|lock| lock.key).collect::<Vec<_>>();
    eventually("only the live one's key is locked", || left() == [b"grape 3".to_vec()]).await;
    assert!(cluster.faults().remove(rule));
    in_time(committing).await.unwrap().unwrap();
    assert_eq!(get(&db, "grape 3").await.as_deref(), Some("live"));
}
