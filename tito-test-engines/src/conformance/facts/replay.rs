//! `transaction` runs a closure until its outcome is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tito_core::{Result, TitoError, Transaction, TxOptions};

use crate::conformance::Opener;
use crate::conformance::support::*;
use crate::fault::{Call, FaultEngine, WithFaults};

/// Counts how often a closure was run.
#[derive(Clone, Default)]
pub(super) struct Runs(Arc<AtomicU32>);

impl Runs {
    /// Increments the count, and returns the new one.
    pub(super) fn add(&self) -> u32 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(super) fn count(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

pub async fn the_value_of_the_closure_is_returned(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let value = engine
        .transaction(|tx| async move {
            put(&tx, "a", "1").await;
            Ok(17)
        })
        .await;
    assert_eq!(value.unwrap(), 17);
    assert_eq!(read(&engine, "a").await.as_deref(), Some("1"));
}

pub async fn a_conflict_is_replayed_in_a_new_transaction(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let runs = Runs::default();
    let seen = engine
        .transaction(|tx| {
            let (runs, rival) = (runs.clone(), engine.clone());
            async move {
                let seen = number(&tx, "counter").await?;
                if runs.add() == 1 {
                    store(&rival, &[("counter", "10")]).await;
                    put(&tx, "leftover", "of the first run").await;
                }
                put_number(&tx, "counter", seen + 1).await?;
                Ok(seen)
            }
        })
        .await;
    assert_eq!(seen.unwrap(), 10, "the second run reads what the first one met");
    assert_eq!(runs.count(), 2);
    assert_eq!(read(&engine, "counter").await.as_deref(), Some("11"));
    assert_eq!(read(&engine, "leftover").await, None, "a write of the refused run is visible");
}

pub async fn attempts_are_bounded_and_the_last_conflict_is_told(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let runs = Runs::default();
    let outcome: Result<()> = engine
        .transaction_with(TxOptions::default().max_attempts(3), |tx| {
            let (runs, rival) = (runs.clone(), engine.clone());
            async move {
                store(&rival, &[("a", &runs.add().to_string())]).await;
                tx.put(bytes("a"), bytes("never")).await
            }
        })
        .await;
    match outcome {
        Err(TitoError::RetriesExhausted { attempts: 3, source }) => assert_conflict::<()>(Err(*source), "a"),
        other => panic!("expected RetriesExhausted after 3 attempts, found {other:?}"),
    }
    assert_eq!(runs.count(), 3);
    assert_eq!(read(&engine, "a").await.as_deref(), Some("3"));
}

pub async fn the_closures_own_error_is_returned_and_nothing_is_written(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let runs = Runs::default();
    let outcome: Result<()> = engine
        .transaction(|tx| {
            let runs = runs.clone();
            async move {
                runs.add();
                put(&tx, "a", "1").await;
                Err(TitoError::application("the account is closed"))
            }
        })
        .await;
    assert!(matches!(outcome, Err(TitoError::Application(_))), "found {outcome:?}");
    assert_eq!(runs.count(), 1, "an error of the application's own is not replayed");
    assert_eq!(read(&engine, "a").await, None);
}

#[derive(Debug, PartialEq)]
enum Refusal {
    Closed,
    Tito(String),
}

impl From<TitoError> for Refusal {
    fn from(error: TitoError) -> Self {
        Self::Tito(error.to_string())
    }
}

pub async fn an_error_type_of_the_callers_own_comes_back(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let outcome: Result<(), Refusal> = engine
        .transaction_with(TxOptions::default(), |tx| async move {
            tx.put(bytes("a"), bytes("1")).await?;
            Err(Refusal::Closed)
        })
        .await;
    assert_eq!(outcome, Err(Refusal::Closed));
    assert_eq!(read(&engine, "a").await, None);
}

pub async fn a_panic_of_the_closure_rolls_back(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let panicking = engine.clone();
    let task = tokio::spawn(async move {
        panicking
            .transaction(|tx| async move {
                put(&tx, "a", "1").await;
                if number(&tx, "absent").await? == 0 {
                    panic!("on purpose");
                }
                Ok(())
            })
            .await
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(read(&engine, "a").await, None);
    store(&engine, &[("a", "2")]).await;
    assert_eq!(read(&engine, "a").await.as_deref(), Some("2"));
}

pub async fn an_insert_of_what_exists_is_not_replayed(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("a", "1")]).await;
    let runs = Runs::default();
    let outcome = engine
        .transaction(|tx| {
            let runs = runs.clone();
            async move {
                runs.add();
                tx.insert(bytes("a"), bytes("2")).await
            }
        })
        .await;
    assert_exists(outcome, "a");
    assert_eq!(runs.count(), 1);
}

/// An engine may meet a conflict in any call, and the closure may turn it into an error of its own.
pub async fn a_conflict_of_any_call_is_replayed_whatever_the_closure_makes_of_it(opener: Opener) {
    let database = open(opener).await;
    for call in [Call::Get, Call::BatchGet, Call::Scan, Call::Put, Call::Insert, Call::Delete, Call::Lock] {
        let engine = FaultEngine::new(database.database()).database();
        engine.faults().at(call).conflict();
        let outcome: Result<(), Refusal> = engine
            .transaction_with(
                TxOptions::default(),
                |tx| async move { every_call(&tx).await.map_err(|_| Refusal::Closed) },
            )
            .await;
        assert_eq!(outcome, Ok(()), "after a conflict in {call:?}");
        assert_eq!(engine.faults().count(Call::Begin), 2, "after a conflict in {call:?}");
    }
}

async fn every_call(tx: &Transaction) -> Result<()> {
    let range = tito_core::keys::KeyRange::new("a", "z");
    tx.get(b"a").await?;
    tx.batch_get(vec![bytes("a")]).await?;
    tx.scan(range, 1).await?;
    tx.put(bytes("a"), bytes("1")).await?;
    tx.delete(bytes("b")).await?;
    tx.insert(bytes("b"), bytes("1")).await?;
    tx.lock_keys(vec![bytes("c")]).await
}
