//! A commit is made, not made, or its outcome is unknown; an idempotency key resolves the last.

use futures::future::join_all;
use tito_core::database::prune_idempotency_markers;
use tito_core::{Database, Result, TitoError, TxOptions};

use super::super::support::*;
use super::super::{Opened, Opener};
use super::replay::Runs;
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
        Err(TitoError::AlreadyApplied { key }) => assert_eq!(key, "invoice:17/paid"),
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
