//! Handles of a transaction: what becomes of those that are kept for too long.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::future::Future;
use std::sync::{Arc, Mutex};

use super::{Database, Transaction};
use crate::engine::Signal;
use crate::error::{Result, TitoError};

async fn open() -> Database {
    crate::embedded::EmbeddedBackend::in_memory().await.unwrap()
}

/// What a closure keeps of its transaction.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Option<Transaction>>>);

impl Kept {
    fn keep(&self, tx: Transaction) {
        *self.0.lock().unwrap() = Some(tx);
    }

    fn take(&self) -> Transaction {
        self.0.lock().unwrap().take().unwrap()
    }
}

#[track_caller]
fn assert_ended<T: std::fmt::Debug>(result: Result<T>) {
    assert!(matches!(result, Err(TitoError::TransactionEnded)), "{result:?}");
}

async fn assert_of_no_use(db: &Database, tx: &Transaction) {
    assert_ended(tx.put(b"late".to_vec(), vec![]).await);
    assert_ended(tx.get(b"late").await);
    assert_ended(tx.lend().handle().put(b"late".to_vec(), vec![]).await);
    assert_ended(tx.commit().await);
    assert_eq!(db.begin().await.unwrap().get(b"late").await.unwrap(), None);
}

/// Drops a future once it waits.
async fn cancel(future: impl Future) {
    tokio::select! {
        biased;
        _ = future => panic!("it did not wait"),
        () = tokio::task::yield_now() => {}
    }
}

#[tokio::test]
async fn a_handle_that_is_kept_ends_with_its_closure() {
    let (db, kept) = (open().await, Kept::default());
    let keep = kept.clone();
    db.transaction(|tx| async move {
        keep.keep(tx.clone());
        tx.put(b"key".to_vec(), vec![]).await
    })
    .await
    .unwrap();
    assert_of_no_use(&db, &kept.take()).await;
    assert!(db.begin().await.unwrap().get(b"key").await.unwrap().is_some());
}

#[tokio::test]
async fn a_handle_that_is_kept_ends_with_a_run_that_is_cancelled() {
    let (db, kept) = (open().await, Kept::default());
    let keep = kept.clone();
    cancel(db.transaction(|tx| async move {
        tx.put(b"key".to_vec(), vec![]).await?;
        keep.keep(tx);
        std::future::pending::<Result<()>>().await
    }))
    .await;
    assert_of_no_use(&db, &kept.take()).await;
    assert_eq!(db.begin().await.unwrap().get(b"key").await.unwrap(), None);
}

#[tokio::test]
async fn a_handle_that_is_kept_ends_with_a_run_that_panics() {
    let (db, kept) = (open().await, Kept::default());
    let (keep, of_the_run) = (kept.clone(), db.clone());
    let run = tokio::spawn(async move {
        of_the_run
            .transaction(|tx| async move {
                keep.keep(tx);
                if true {
                    panic!("a closure of a test")
                }
                Ok(())
            })
            .await
    });
    assert!(run.await.unwrap_err().is_panic());
    assert_of_no_use(&db, &kept.take()).await;
}

#[tokio::test]
async fn what_was_lent_ends_and_the_transaction_goes_on() {
    let db = open().await;
    let listener = db.shared().listen("channel", 0);
    let tx = db.begin().await.unwrap();
    let lent = tx.lend();
    let handle = lent.handle();
    let further = handle.lend();
    handle.put(b"before".to_vec(), vec![]).await.unwrap();
    further.handle().put(b"further".to_vec(), vec![]).await.unwrap();
    drop(lent);
    assert_ended(further.handle().put(b"late".to_vec(), vec![]).await);
    handle.signal(Signal { channel: "channel".into(), number: 0, payload: b"late".to_vec() });
    handle.rollback().await;
    tx.signal(Signal { channel: "channel".into(), number: 0, payload: b"own".to_vec() });
    tx.commit().await.unwrap();
    assert_eq!(listener.take(), Some(b"own".to_vec()));
    let tx = db.begin().await.unwrap();
    for (key, is_there) in [("before", true), ("further", true), ("late", false)] {
        assert_eq!(tx.get(key.as_bytes()).await.unwrap().is_some(), is_there, "{key}");
    }
}

#[tokio::test]
async fn a_commit_without_writes_delivers_its_signals_and_a_rollback_none() {
    let db = open().await;
    let listener = db.shared().listen("channel", 7);
    let signal = |payload: &str| Signal { channel: "channel".into(), number: 7, payload: payload.into() };
    let tx = db.begin().await.unwrap();
    tx.signal(signal("b"));
    tx.rollback().await;
    assert!(!listener.is_woken());
    let tx = db.begin().await.unwrap();
    tx.signal(signal("c"));
    tx.signal(signal("b"));
    tx.commit().await.unwrap();
    assert_eq!(listener.take(), Some(b"b".to_vec()), "the smallest");
}
