//! A full disk.

use std::time::Duration;

use super::*;

fn assert_full(error: &TitoError) {
    assert!(matches!(error, TitoError::StorageFull { .. }), "{error:?}");
    assert!(error.is_not_committed() && error.is_retryable());
}

/// Puts rows until there is no space, and returns how many there are.
async fn put_until_full(db: &Database, from: usize) -> usize {
    let mut next = from;
    loop {
        match put(db, &format!("k{next:05}"), 10_000).await {
            Ok(()) => next += 1,
            Err(error) => {
                assert_full(&error);
                return next;
            }
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_for_certain_and_goes_on() {
    let directory = super::directory();
    let faults = Faults::default();
    let db = open(directory.path(), &faults).await;
    put(&db, "k00000", 10_000).await.unwrap();
    fill(&faults);
    let rows = put_until_full(&db, 1).await;
    assert_eq!(keys(&db).await.unwrap().len(), rows, "reads go on");
    assert_eq!(get(&db, "k00000").await.unwrap(), Some(10_000));
    assert!(db.backend::<EmbeddedBackend>().unwrap().sizes().await.unwrap().log_bytes > 0);

    // What deletes as much as it writes goes through: a delete, and a change to something no longer.
    delete(&db, "k00000").await.unwrap();
    put(&db, "k00001", 10_000).await.unwrap();
    put(&db, "k00001", 1).await.unwrap();
    assert_full(&put(&db, "k00001", 10_000).await.unwrap_err());
    let tx = db.begin().await.unwrap();
    tx.delete(b"k00002".to_vec()).await.unwrap();
    tx.put(b"k99999".to_vec(), vec![b'x'; 9_000]).await.unwrap();
    tx.commit().await.unwrap();

    faults.clear();
    put(&db, "k00000", 20_000).await.unwrap();
    let expected = keys(&db).await.unwrap();
    db.close().await;
    assert_eq!(keys(&open(directory.path(), &faults).await).await.unwrap(), expected);
}

/// Transactions that share a group get an answer each: what makes space is committed, the others are refused.
#[tokio::test]
async fn what_makes_space_is_not_refused_with_what_needs_it() {
    let directory = super::directory();
    let faults = Faults::default();
    let db = open(directory.path(), &faults).await;
    for key in 0..20 {
        put(&db, &format!("k{key}"), 1_000).await.unwrap();
    }
    fill(&faults);
    put_until_full(&db, 100).await;
    let mut commits = Vec::new();
    for key in 0..20 {
        let tx = db.begin().await.unwrap();
        match key % 2 {
            0 => tx.delete(format!("k{key}").into_bytes()).await.unwrap(),
            _ => tx.put(format!("k{key}").into_bytes(), vec![0; 50_000]).await.unwrap(),
        }
        commits.push(async move { tx.commit().await });
    }
    let outcomes = futures::future::join_all(commits).await;
    for (key, outcome) in outcomes.into_iter().enumerate() {
        match key % 2 {
            0 => drop(outcome.unwrap()),
            _ => assert_full(&outcome.unwrap_err()),
        }
        let expected = if key % 2 == 0 { None } else { Some(1_000) };
        assert_eq!(get(&db, &format!("k{key}")).await.unwrap(), expected);
    }
    assert_eq!(db.oldest_live_start(), None);
}

/// A group that is taken apart becomes visible in one step: whoever begins between its parts conflicts with all of them.
#[tokio::test]
async fn what_begins_between_the_parts_of_a_group_conflicts_with_each() {
    let directory = super::directory();
    let faults = Faults::default();
    let db = open(directory.path(), &faults).await;
    put(&db, "k0", 1_000).await.unwrap();
    let mut commits = Vec::new();
    for key in ["k0", "k1", "k2"] {
        let tx = db.begin().await.unwrap();
        match key {
            "k0" => tx.delete(b"k0".to_vec()).await.unwrap(),
            // There is room for one of them before the reserve.
            _ => tx.put(key.as_bytes().to_vec(), vec![b'x'; 1_000_000]).await.unwrap(),
        }
        commits.push(async move { tx.commit().await });
    }
    // A commit before them is blocked until all wait, so that they are one group; then its second part is.
    let held = [1, 3].map(|sync| {
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let (reach, reached) = tokio::sync::oneshot::channel();
        ((sync, Some(reach), wait), (release, reached))
    });
    let [(mut first, (release_first, first_reached)), (mut second, (release, reached))] = held;
    let mut synced = 0;
    faults.set(move |operation, file| match operation {
        Operation::Grow => Err(no_space()),
        Operation::Sync if file.starts_with("tito.log.") => {
            synced += 1;
            for (sync, reach, wait) in [&mut first, &mut second] {
                if let Some(reach) = reach.take_if(|_| synced == *sync) {
                    let _ = reach.send(());
                    let _ = wait.recv();
                }
            }
            Ok(())
        }
        _ => Ok(()),
    });
    let before = db.begin().await.unwrap();
    before.put(b"before".to_vec(), Vec::new()).await.unwrap();
    let before = tokio::spawn(async move { before.commit().await });
    first_reached.await.unwrap();
    let mut committing = futures::future::join_all(commits);
    assert!(futures::poll!(&mut committing).is_pending(), "all of them wait");
    let committing = tokio::spawn(committing);
    release_first.send(()).unwrap();
    before.await.unwrap().unwrap();
    reached.await.unwrap();
    let between = db.begin().await.unwrap();
    assert_eq!(between.get(b"k0").await.unwrap().map(|value| value.len()), Some(1_000), "neither part is visible");
    between.put(b"k1".to_vec(), Vec::new()).await.unwrap();
    release.send(()).unwrap();
    let [deleted, fitted, refused] = committing.await.unwrap().try_into().unwrap();
    deleted.unwrap();
    fitted.unwrap();
    assert_full(&refused.unwrap_err());
    assert!(matches!(between.commit().await, Err(TitoError::Conflict { .. })));
    assert_eq!(keys(&db).await.unwrap(), ["k1"]);
}

/// One delete that is too large for the reserve does not keep small ones out of it.
#[tokio::test]
async fn of_what_makes_space_as_much_goes_through_as_fits() {
    let directory = super::directory();
    let faults = Faults::default();
    let db = open(directory.path(), &faults).await;
    let key = |number: usize| format!("k{number:04}{}", "x".repeat(4_000));
    for number in 0..300 {
        put(&db, &key(number), 10).await.unwrap();
    }
    fill(&faults);
    put_until_full(&db, 1_000).await;
    let large = db.begin().await.unwrap();
    for number in 0..250 {
        large.delete(key(number).into_bytes()).await.unwrap();
    }
    let small = db.begin().await.unwrap();
    small.delete(key(299).into_bytes()).await.unwrap();
    let (large, small) = futures::join!(large.commit(), small.commit());
    assert_full(&large.unwrap_err());
    small.unwrap();
}

/// What was refused has left nothing behind that a later transaction meets.
#[tokio::test]
async fn a_refused_insert_can_be_made_again() {
    let directory = super::directory();
    let faults = Faults::default();
    let db = open(directory.path(), &faults).await;
    fill(&faults);
    put_until_full(&db, 0).await;
    let insert = || async {
        let tx = db.begin().await.unwrap();
        tx.insert(b"key".to_vec(), vec![0; 100_000]).await.unwrap();
        tx.commit().await
    };
    assert_full(&insert().await.unwrap_err());
    faults.clear();
    insert().await.unwrap();
}

/// Flushes wait; commits don't, until too much has piled up. Closing ends the wait, and nothing is lost.
#[tokio::test]
async fn flushs_wait_for_space_and_closing_ends_the_wait() {
    let directory = super::directory();
    let faults = Faults::default();
    let db = builder(&faults).memtable_bytes(50_000).open(directory.path()).await.unwrap();
    put(&db, "k00000", 10_000).await.unwrap();
    // The log can grow, the database file can't.
    faults.set(|operation, file| match operation {
        Operation::Write | Operation::Resize if file == DATABASE_FILE => Err(no_space()),
        _ => Ok(()),
    });
    let rows = put_until_full(&db, 1).await;
    assert!((15..=40).contains(&rows), "memory is bounded: {rows} rows");
    assert_eq!(keys(&db).await.unwrap().len(), rows);
    delete(&db, "k00000").await.unwrap();
    db.close().await;

    let db = builder(&faults).memtable_bytes(50_000).open(directory.path()).await.unwrap_err();
    assert_full(&db);
    faults.clear();
    let db = builder(&faults).memtable_bytes(50_000).open(directory.path()).await.unwrap();
    assert_eq!(keys(&db).await.unwrap().len(), rows - 1);
}

#[tokio::test]
async fn flushs_go_on_once_there_is_space() {
    let directory = super::directory();
    let faults = Faults::default();
    let db = builder(&faults).memtable_bytes(50_000).open(directory.path()).await.unwrap();
    fill(&faults);
    let rows = put_until_full(&db, 0).await;
    faults.clear();
    let patience = Duration::from_secs(60);
    let all = tokio::time::timeout(patience, async {
        for row in rows..rows + 100 {
            while let Err(error) = put(&db, &format!("k{row:05}"), 10_000).await {
                assert_full(&error);
                tokio::task::yield_now().await;
            }
        }
    });
    all.await.expect("it goes on by itself");
    db.close().await;
    assert_eq!(keys(&open(directory.path(), &faults).await).await.unwrap().len(), rows + 100);
}

/// Only files in place can be written: no new segment, no longer database file.
#[tokio::test]
async fn a_database_opens_and_is_read_while_the_disk_is_full() {
    for closed_before in [true, false] {
        let directory = super::directory();
        let faults = Faults::default();
        let db = open(directory.path(), &faults).await;
        let rows = match closed_before {
            true => {
                put(&db, "k00000", 10_000).await.unwrap();
                1
            }
            // Closed while it is full: what could not be flushed stays in the log.
            false => {
                fill(&faults);
                put_until_full(&db, 0).await
            }
        };
        db.close().await;
        faults.set(|operation, _| match operation {
            Operation::Grow | Operation::Create | Operation::Resize => Err(no_space()),
            _ => Ok(()),
        });
        let db = open(directory.path(), &faults).await;
        assert_eq!(keys(&db).await.unwrap().len(), rows);
        delete(&db, "k00000").await.unwrap();
        put_until_full(&db, rows).await;
        db.close().await;
        faults.clear();
        assert!(!keys(&open(directory.path(), &faults).await).await.unwrap().contains(&"k00000".to_string()));
    }
}

#[tokio::test]
async fn a_database_that_there_is_no_space_for_is_not_begun() {
    for failing in [Operation::Create, Operation::Write, Operation::Grow, Operation::Resize] {
        let outer = super::directory();
        let path = outer.path().join("data");
        let faults = Faults::default();
        faults.set(move |operation, _| if operation == failing { Err(no_space()) } else { Ok(()) });
        let error = builder(&faults).open(&path).await.unwrap_err();
        assert_full(&error);
        faults.clear();
        let db = open(&path, &faults).await;
        put(&db, "k", 1).await.unwrap();
    }
}
