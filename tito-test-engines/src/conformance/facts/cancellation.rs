//! A future may be dropped at every await. The transaction then took effect as a whole or not at all.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tito_core::keys::KeyRange;
use tito_core::{Database, Result, TitoError, Transaction, TxOptions};

use crate::conformance::Opener;
use crate::conformance::support::*;

/// More polls than any of these futures needs; one that isn't done within them hangs.
const MOST_POLLS: usize = 10_000;

/// Polls a future at most this many times, then drops it. `None` if it wasn't done by then.
async fn cancelled_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // Dropped now, not when it would be woken: what it waits for is then still under way.
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Reads, writes and locks, with an await between each of them that can be cancelled, even on engines that answer at
/// once.
async fn steps(tx: &Transaction, value: &str) -> Result<()> {
    let step = tokio::task::yield_now;
    tx.get(b"a").await?;
    step().await;
    tx.put(bytes("a"), bytes(value)).await?;
    step().await;
    tx.scan(KeyRange::new("a", "z"), 10).await?;
    step().await;
    tx.lock_keys(vec![bytes("m")]).await?;
    step().await;
    tx.scan_reverse(KeyRange::new("a", "z"), 10).await?;
    tx.batch_get(vec![bytes("a"), bytes("z")]).await?;
    step().await;
    tx.put(bytes("z"), bytes(value)).await?;
    step().await;
    Ok(())
}

/// "a" and "z" as one snapshot has them.
async fn both(engine: &Database) -> [Option<String>; 2] {
    let tx = engine.begin().await.unwrap();
    [get(&tx, "a").await, get(&tx, "z").await]
}

pub async fn a_transaction_cancelled_anywhere_is_made_as_a_whole_or_not_at_all(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    for polls in 0..MOST_POLLS {
        let value = format!("cancelled after {polls}");
        let done = cancelled_after(polls, async {
            let tx = engine.begin().await?;
            steps(&tx, &value).await?;
            tx.commit().await
        })
        .await;
        let [a, z] = both(&engine).await;
        assert_eq!(a, z, "half of a transaction is visible after {polls} polls");
        if let Some(outcome) = done {
            outcome.unwrap();
            assert_eq!(a, Some(value));
            return;
        }
        // The same keys can be written immediately, whatever became of the cancelled transaction.
        let later = format!("later {polls}");
        engine
            .transaction(|tx| async {
                let tx = tx;
                steps(&tx, &later).await
            })
            .await
            .unwrap();
        assert_eq!(both(&engine).await, [Some(later.clone()), Some(later)]);
    }
    panic!("not done after {MOST_POLLS} polls");
}

pub async fn a_replayed_transaction_can_be_cancelled_anywhere(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    for polls in 0..MOST_POLLS {
        let before = number(&engine.begin().await.unwrap(), "counter").await.unwrap();
        let done = cancelled_after(
            polls,
            engine.transaction(|tx| async move {
                increment(&tx, "counter").await?;
                tokio::task::yield_now().await;
                increment(&tx, "twin").await
            }),
        )
        .await;
        // Its successor settles its fate: both numbers are read where both are written.
        let (counter, twin) = engine
            .transaction(|tx| async move {
                let numbers = (number(&tx, "counter").await?, number(&tx, "twin").await?);
                tx.lock_keys(vec![bytes("counter"), bytes("twin")]).await?;
                Ok(numbers)
            })
            .await
            .unwrap();
        assert_eq!(counter, twin, "half of a transaction is visible after {polls} polls");
        assert!(counter == before || counter == before + 1, "{before} became {counter} after {polls} polls");
        if let Some(outcome) = done {
            outcome.unwrap();
            assert_eq!(counter, before + 1);
            return;
        }
    }
    panic!("not done after {MOST_POLLS} polls");
}

pub async fn a_cancelled_call_with_a_key_takes_effect_once_when_repeated(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    for polls in 0..MOST_POLLS {
        let counter = format!("counter {polls}");
        let call = || async {
            let options = TxOptions::default().idempotency_key(&counter);
            engine
                .transaction_with(options, |tx| {
                    let counter = counter.clone();
                    async move {
                        tokio::task::yield_now().await;
                        increment(&tx, &counter).await
                    }
                })
                .await
        };
        let done = cancelled_after(polls, call()).await.is_some();
        match call().await {
            Ok(()) => assert!(!done, "made twice"),
            Err(TitoError::AlreadyApplied { .. }) => {}
            Err(other) => panic!("expected AlreadyApplied, found {other:?}"),
        }
        assert_eq!(read(&engine, &counter).await.as_deref(), Some("1"), "after {polls} polls");
        if done {
            return;
        }
    }
    panic!("not done after {MOST_POLLS} polls");
}

pub async fn a_cancelled_read_does_not_harm_its_transaction(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("a", "1"), ("b", "1")]).await;
    let tx = engine.begin().await.unwrap();
    put(&tx, "c", "2").await;
    for polls in 0..3 {
        cancelled_after(polls, tx.get(b"a")).await;
        cancelled_after(polls, tx.batch_get(vec![bytes("a"), bytes("b")])).await;
        cancelled_after(polls, tx.scan(KeyRange::new("a", "z"), 10)).await;
        cancelled_after(polls, tx.scan_reverse(KeyRange::new("a", "z"), 10)).await;
    }
    assert_eq!(scan(&tx, "a", "z", 10).await, ["a=1", "b=1", "c=2"]);
    tx.commit().await.unwrap();
    assert_eq!(read(&engine, "c").await.as_deref(), Some("2"));
}
