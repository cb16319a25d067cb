//! A commit is made, not made, or its outcome is unknown. An idempotency key resolves an unknown outcome.

use std::time::Duration;

use futures::future::join_all;
use tito_core::database::{Walk, drop_expired_markers, prune_idempotency_markers};
use tito_core::{Database, Result, TitoError, Transaction, TxOptions, keys};

use super::replay::Runs;
use crate::conformance::support::*;
use crate::conformance::{Opened, Opener};
use crate::fault::{Call, FaultEngine, WithFaults};

async fn open_with_faults(opener: Opener) -> (Opened, Database) {
    let database = open(opener).await;
    let engine = FaultEngine::new(database.database()).database();
    (database, engine)
}

/// Adds 1 to "paid".
async fn pay(engine: &Database, options: TxOptions, runs: &Runs) -> Result<()> {
    let pay = |tx| {
        let runs = runs.clone();
        async move {
            runs.add();
            increment(&tx, "paid").await
        }
    };
    engine.transaction_with(options, pay).await
}

fn keyed() -> TxOptions {
    TxOptions::default().idempotency_key("invoice:17/paid")
}

async fn paid(engine: &Database) -> i64 {
    number(&engine.begin().await.unwrap(), "paid").await.unwrap()
}

pub async fn an_unknown_commit_that_took_effect_is_not_replayed(opener: Opener) {
    let (_database, engine) = open_with_faults(opener).await;
    engine.faults().at(Call::Commit).unknown_after_effect();
    let runs = Runs::default();
    let outcome = pay(&engine, TxOptions::default(), &runs).await;
    assert!(matches!(outcome, Err(TitoError::CommitUnknown { .. })), "found {outcome:?}");
    assert_eq!(runs.count(), 1);
    assert_eq!(paid(&engine).await, 1);
}

pub async fn an_unknown_commit_without_effect_is_not_replayed(opener: Opener) {
    let (_database, engine) = open_with_faults(opener).await;
    engine.faults().at(Call::Commit).unknown_without_effect();
    let runs = Runs::default();
    let outcome = pay(&engine, TxOptions::default(), &runs).await;
    assert!(matches!(outcome, Err(TitoError::CommitUnknown { .. })), "found {outcome:?}");
    assert_eq!(runs.count(), 1);
    assert_eq!(paid(&engine).await, 0);
}

pub async fn a_failed_commit_is_not_replayed_and_writes_nothing(opener: Opener) {
    let (_database, engine) = open_with_faults(opener).await;
    engine.faults().at(Call::Commit).storage_error();
    let runs = Runs::default();
    let error = pay(&engine, keyed(), &runs).await.unwrap_err();
    assert!(error.is_not_committed(), "found {error:?}");
    assert_eq!(runs.count(), 1);
    assert_eq!(paid(&engine).await, 0);
    pay(&engine, keyed(), &runs).await.unwrap();
    assert_eq!(paid(&engine).await, 1, "the key of a transaction that was not committed is free");
}

pub async fn a_key_resolves_an_unknown_commit_that_took_effect(opener: Opener) {
    let (_database, engine) = open_with_faults(opener).await;
    engine.faults().at(Call::Commit).unknown_after_effect();
    let runs = Runs::default();
    pay(&engine, keyed(), &runs).await.unwrap();
    assert_eq!(runs.count(), 1, "what took effect is not done again");
    assert_eq!(paid(&engine).await, 1);
}

pub async fn a_key_resolves_an_unknown_commit_without_effect(opener: Opener) {
    let (_database, engine) = open_with_faults(opener).await;
    engine.faults().at(Call::Commit).unknown_without_effect();
    let runs = Runs::default();
    pay(&engine, keyed(), &runs).await.unwrap();
    assert_eq!(runs.count(), 2, "what took no effect is done again");
    assert_eq!(paid(&engine).await, 1);
}

pub async fn an_unknown_commit_stays_unknown_while_its_marker_cannot_be_read(opener: Opener) {
    let (_database, engine) = open_with_faults(opener).await;
    engine.faults().at(Call::Commit).unknown_after_effect();
    engine.faults().at(Call::Get).key_prefix("txn:").nth(2).storage_error();
    let runs = Runs::default();
    let outcome = pay(&engine, keyed(), &runs).await;
    assert!(matches!(outcome, Err(TitoError::CommitUnknown { .. })), "found {outcome:?}");
    assert_eq!(runs.count(), 1);
    let again = pay(&engine, keyed(), &runs).await;
    assert!(matches!(again, Err(TitoError::AlreadyApplied { .. })), "found {again:?}");
    assert_eq!(paid(&engine).await, 1);
}

pub async fn a_conflict_on_the_marker_of_a_key_is_replayed(opener: Opener) {
    let (_database, engine) = open_with_faults(opener).await;
    engine.faults().at(Call::Get).key_prefix("txn:").conflict();
    engine.faults().at(Call::Put).key_prefix("txn:").conflict();
    let runs = Runs::default();
    pay(&engine, keyed(), &runs).await.unwrap();
    assert_eq!((engine.faults().count(Call::Begin), runs.count()), (3, 1));
    assert_eq!(paid(&engine).await, 1);
}

pub async fn a_repeated_call_does_nothing_and_says_so(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let runs = Runs::default();
    pay(&engine, keyed(), &runs).await.unwrap();
    match pay(&engine, keyed(), &runs).await {
        Err(TitoError::AlreadyApplied { key, result }) => {
            assert_eq!((key.as_str(), result), ("invoice:17/paid", None));
        }
        other => panic!("expected AlreadyApplied, found {other:?}"),
    }
    assert_eq!(runs.count(), 1);
    assert_eq!(paid(&engine).await, 1);
    pay(&engine, TxOptions::default().idempotency_key("invoice:18/paid"), &runs).await.unwrap();
    assert_eq!(paid(&engine).await, 2, "another key is another transaction");
}

pub async fn concurrent_calls_with_one_key_take_effect_once(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let runs = Runs::default();
    let calls = (0..8).map(|_| {
        let (engine, runs) = (engine.clone(), runs.clone());
        tokio::spawn(async move { pay(&engine, keyed(), &runs).await })
    });
    let mut applied = 0;
    for outcome in join_all(calls).await {
        match outcome.unwrap() {
            Ok(()) => applied += 1,
            Err(TitoError::AlreadyApplied { .. }) => {}
            Err(other) => panic!("expected AlreadyApplied, found {other:?}"),
        }
    }
    assert_eq!(applied, 1);
    assert_eq!(paid(&engine).await, 1);
}

pub async fn a_key_holds_whatever_the_closure_writes(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let nothing = |_tx| async { Ok::<_, TitoError>(()) };
    engine.transaction_with(keyed(), nothing).await.unwrap();
    let again = engine.transaction_with(keyed(), nothing).await;
    assert!(matches!(again, Err(TitoError::AlreadyApplied { .. })), "found {again:?}");
}

pub async fn a_repeated_call_gets_what_the_first_one_has_kept(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let pay = |key: &str, receipt: u64| {
        let run = move |tx: Transaction| async move {
            tx.keep_result(&(0, "replaced")).await?;
            tx.keep_result(&(receipt, "paid")).await?;
            Ok::<_, TitoError>(receipt)
        };
        engine.transaction_with(TxOptions::default().idempotency_key(key), run)
    };
    assert_eq!(pay("a", 17).await.unwrap(), 17);
    let again = pay("a", 18).await.unwrap_err();
    assert_eq!(again.first_result::<(u64, String)>().unwrap().unwrap(), (17, "paid".to_string()));
    let of_another_type = again.first_result::<bool>().unwrap().unwrap_err();
    assert!(of_another_type.to_string().contains("txn:a"), "{of_another_type}");
    assert_eq!(pay("b", 18).await.unwrap(), 18, "another key is another transaction");
    let without = engine.transaction(|tx| async move { tx.keep_result(&1).await }).await.unwrap_err();
    assert!(matches!(without, TitoError::NoIdempotencyKey), "{without}");
    assert!(without.first_result::<u64>().is_none());
}

pub async fn markers_are_dropped_past_their_age_and_not_before(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let runs = Runs::default();
    let key = |name: String| TxOptions::default().idempotency_key(name);
    for number in 0..450 {
        pay(&engine, key(format!("a {number}")).idempotency_age(Duration::ZERO), &runs).await.unwrap();
    }
    for age in [Duration::from_secs(86_400), Duration::MAX] {
        pay(&engine, key(format!("b {age:?}")).idempotency_age(age), &runs).await.unwrap();
    }
    pay(&engine, key("for ever".to_string()), &runs).await.unwrap();
    engine
        .transaction(
            |tx| async move { tx.system_keys().put(keys::idempotency_marker("c"), b"no marker".to_vec()).await },
        )
        .await
        .unwrap();
    let (mut walk, mut dropped, mut steps) = (Walk::over(keys::idempotency_markers()), 0, 0);
    while !walk.is_over() {
        dropped += drop_expired_markers(&engine, &mut walk).await.unwrap();
        steps += 1;
    }
    assert_eq!((dropped, steps), (450, 3));
    assert!(matches!(pay(&engine, key("for ever".to_string()), &runs).await, Err(TitoError::AlreadyApplied { .. })));
    pay(&engine, key("a 0".to_string()), &runs).await.unwrap();
    let tx = engine.begin().await.unwrap();
    assert_eq!(tx.scan(keys::idempotency_markers(), 1_000).await.unwrap().len(), 5);
    tx.rollback().await;
}

pub async fn pruned_keys_can_take_effect_again_and_others_cannot(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let runs = Runs::default();
    let key = |name: &str| TxOptions::default().idempotency_key(name);
    pay(&engine, key("old 1"), &runs).await.unwrap();
    pay(&engine, key("old 2"), &runs).await.unwrap();
    let between = engine.timestamp().await.unwrap();
    pay(&engine, key("new"), &runs).await.unwrap();
    assert_eq!(prune_idempotency_markers(&engine, between).await.unwrap(), 2);
    assert_eq!(prune_idempotency_markers(&engine, between).await.unwrap(), 0);
    pay(&engine, key("old 1"), &runs).await.unwrap();
    assert!(matches!(pay(&engine, key("new"), &runs).await, Err(TitoError::AlreadyApplied { .. })));
    assert_eq!(paid(&engine).await, 4);
}
