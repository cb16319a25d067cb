//! A disk that takes its time.

use std::collections::BTreeSet;

use super::*;

/// While a group is being written, transactions begin until the reservation ends, and the clock stands at its end.
#[tokio::test]
async fn timestamps_stay_unique_on_a_disk_slower_than_their_reservation() {
    for past_the_reservation in [0, 1, 500, 20_000] {
        let directory = super::directory();
        let faults = Faults::default();
        let clock = HandClock::at(1_000_000);
        let db = builder(&faults).clock(clock.clone()).open(directory.path()).await.unwrap();
        put(&db, "k", 1).await.unwrap();
        let gate = Gate::at_the_next_sync(&faults);
        let mut commits = Vec::new();
        for key in 0..8 {
            let tx = db.begin().await.unwrap();
            tx.put(format!("k{key}").into_bytes(), Vec::new()).await.unwrap();
            commits.push(tokio::spawn(async move { tx.commit().await.unwrap() }));
        }
        gate.reached.await.unwrap();
        // The reservation that is there was made with the first row.
        clock.set(1_001_000 + past_the_reservation);
        let mut begun = Vec::new();
        while let Some(Ok(tx)) = db.begin().now_or_never() {
            begun.push(tx.start_timestamp());
            if begun.len() == 1_000 {
                break;
            }
        }
        gate.open.send(()).unwrap();
        for commit in commits {
            begun.push(commit.await.unwrap());
        }
        begun.push(db.timestamp().await.unwrap());
        let unique: BTreeSet<_> = begun.iter().copied().collect();
        assert_eq!(unique.len(), begun.len(), "clock {past_the_reservation} ms past the reservation: {begun:?}");
    }
}

#[tokio::test]
async fn a_transaction_is_live_until_its_commit_is_answered_though_nobody_waits_for_it() {
    let directory = super::directory();
    let faults = Faults::default();
    let db = open(directory.path(), &faults).await;
    for cancelled in [true, false] {
        let tx = db.begin().await.unwrap();
        let start = tx.start_timestamp();
        let key = format!("k{cancelled}");
        tx.put(key.clone().into_bytes(), Vec::new()).await.unwrap();
        let gate = Gate::at_the_next_sync(&faults);
        let committing = tokio::spawn(async move { tx.commit().await });
        gate.reached.await.unwrap();
        if cancelled {
            committing.abort();
            assert!(committing.await.unwrap_err().is_cancelled());
            assert_eq!(db.oldest_live_start(), Some(start), "its commit can still land");
            gate.open.send(()).unwrap();
        } else {
            assert_eq!(db.oldest_live_start(), Some(start));
            gate.open.send(()).unwrap();
            committing.await.unwrap().unwrap();
            assert_eq!(db.oldest_live_start(), None);
        }
        // Another commit is answered after it.
        put(&db, "other", 1).await.unwrap();
        assert_eq!(db.oldest_live_start(), None);
        assert_eq!(get(&db, &key).await.unwrap(), Some(0), "it landed");
    }
}

/// As a timeout round a commit does it: at each moment of it. What nothing older can commit than is never undercut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_cancelled_commit_lands_before_what_nothing_older_can_commit_than() {
    let seed = std::env::var("TITO_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("TITO_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let directory = super::directory();
    let db = EmbeddedBackend::open(directory.path()).await.unwrap();
    for round in 0..200 {
        let key = format!("k{round}");
        let tx = db.begin().await.unwrap();
        tx.put(key.clone().into_bytes(), Vec::new()).await.unwrap();
        let start = tx.start_timestamp();
        let committing = tokio::spawn(async move { tx.commit().await });
        for _ in 0..random.u32(0..40) {
            tokio::task::yield_now().await;
        }
        committing.abort();
        let _ = committing.await;
        // Once nothing so old is live, what is there now is all that there will be.
        while db.oldest_live_start().is_some_and(|oldest| oldest <= start) {
            tokio::task::yield_now().await;
        }
        let settled = get(&db, &key).await.unwrap();
        put(&db, "other", 1).await.unwrap();
        assert_eq!(get(&db, &key).await.unwrap(), settled, "round {round} landed after it was settled");
    }
}

/// Each synchronisation takes longer than timestamps are reserved ahead at first.
#[tokio::test]
async fn transactions_begin_on_a_disk_that_takes_seconds() {
    let directory = super::directory();
    let faults = Faults::default();
    let clock = HandClock::at(1_000_000);
    let db = builder(&faults).clock(clock.clone()).open(directory.path()).await.unwrap();
    let slow = clock.clone();
    faults.set(move |operation, file| {
        if operation == Operation::Sync && file.starts_with("tito.log.") {
            slow.set(slow.now_millis() + 2_500);
        }
        Ok(())
    });
    for key in 0..5 {
        put(&db, &format!("k{key}"), 10).await.unwrap();
        clock.set(clock.now_millis() + 20_000);
    }
    assert_eq!(keys(&db).await.unwrap().len(), 5);
}

/// The caller has given up and still holds the transaction: nothing of it is live for ever.
#[tokio::test]
async fn a_cancelled_commit_is_not_live_though_a_handle_of_it_is_kept() {
    let directory = super::directory();
    let faults = Faults::default();
    let db = open(directory.path(), &faults).await;
    let [first, kept] = [db.begin().await.unwrap(), db.begin().await.unwrap()];
    first.put(b"k1".to_vec(), Vec::new()).await.unwrap();
    kept.put(b"k2".to_vec(), Vec::new()).await.unwrap();
    let gate = Gate::at_the_next_sync(&faults);
    let first = tokio::spawn(async move { first.commit().await });
    gate.reached.await.unwrap();
    // Asked for, and given up before the committer comes to it.
    assert!(kept.commit().now_or_never().is_none());
    gate.open.send(()).unwrap();
    first.await.unwrap().unwrap();
    put(&db, "k3", 1).await.unwrap();
    assert_eq!(keys(&db).await.unwrap(), ["k1", "k3"]);
    assert_eq!(db.oldest_live_start(), None);
    drop(kept);
}

/// Too old to begin to commit is not too old to land.
#[tokio::test]
async fn a_commit_that_is_being_written_is_live_however_old_it_becomes() {
    let directory = super::directory();
    let faults = Faults::default();
    let clock = HandClock::at(1_000_000);
    let db = builder(&faults).clock(clock.clone()).open(directory.path()).await.unwrap();
    let forgotten = db.begin().await.unwrap();
    let tx = db.begin().await.unwrap();
    let start = tx.start_timestamp();
    tx.put(b"k".to_vec(), Vec::new()).await.unwrap();
    let gate = Gate::at_the_next_sync(&faults);
    let committing = tokio::spawn(async move { tx.commit().await });
    gate.reached.await.unwrap();
    assert_eq!(db.oldest_live_start(), Some(forgotten.start_timestamp()));
    clock.set(1_100_000);
    assert_eq!(db.oldest_live_start(), Some(start), "the one that only waits has become too old to commit");
    gate.open.send(()).unwrap();
    committing.await.unwrap().unwrap();
    assert_eq!(db.oldest_live_start(), None);
}
