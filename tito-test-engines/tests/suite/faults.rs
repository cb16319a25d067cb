//! Faults come at the calls that were chosen, and at no others.

use std::time::Duration;

use tito_core::keys::KeyRange;
use tito_core::{Database, Result, TitoError};
use tito_test_engines::{Call, EngineSettings, FaultEngine, TestClock, WithFaults};

async fn open() -> Database {
    FaultEngine::new(tito_test_engines::in_memory().await.unwrap()).database()
}

async fn put(db: &Database, key: &'static str) -> Result<()> {
    db.transaction(move |tx| async move { tx.system_keys().put(key.into(), vec![1]).await }).await
}

async fn exists(db: &Database, key: &str) -> bool {
    db.without_faults().begin().await.unwrap().get(key.as_bytes()).await.unwrap().is_some()
}

#[tokio::test]
async fn the_nth_call_fails_and_those_around_it_do_not() {
    let db = open().await;
    db.faults().at(Call::Commit).nth(2).storage_error();
    put(&db, "a").await.unwrap();
    assert!(matches!(put(&db, "b").await, Err(TitoError::Storage { .. })));
    put(&db, "c").await.unwrap();
    assert_eq!((exists(&db, "a").await, exists(&db, "b").await, exists(&db, "c").await), (true, false, true));
    assert_eq!((db.faults().count(Call::Commit), db.faults().injected()), (3, 1));
}

#[tokio::test]
async fn what_a_process_notes_of_its_activity_is_not_the_nth_call_and_does_not_count() {
    let db = open().await;
    db.faults().at(Call::Commit).storage_error();
    put(&db, "!activity:1").await.unwrap();
    assert!(matches!(put(&db, "a").await, Err(TitoError::Storage { .. })));
    assert_eq!((db.faults().count(Call::Commit), db.faults().count(Call::Put)), (1, 1));
    db.faults().at(Call::Commit).key_prefix("!activity:").storage_error();
    assert!(matches!(put(&db, "!activity:2").await, Err(TitoError::Storage { .. })));
    db.faults().at(Call::Commit).always().storage_error();
    assert!(matches!(put(&db, "!activity:3").await, Err(TitoError::Storage { .. })));
}

#[tokio::test]
async fn unknown_commits_took_effect_or_not_as_told() {
    let db = open().await;
    db.faults().at(Call::Commit).unknown_after_effect();
    db.faults().at(Call::Commit).nth(2).unknown_without_effect();
    assert!(matches!(put(&db, "a").await, Err(TitoError::CommitUnknown { .. })));
    assert!(matches!(put(&db, "b").await, Err(TitoError::CommitUnknown { .. })));
    assert_eq!((exists(&db, "a").await, exists(&db, "b").await), (true, false));
}

#[tokio::test]
async fn a_commit_that_is_refused_is_not_an_unknown_one() {
    let db = open().await;
    let tx = db.begin().await.unwrap();
    tx.put(b"a".to_vec(), vec![1]).await.unwrap();
    put(&db, "a").await.unwrap();
    db.faults().at(Call::Commit).unknown_after_effect();
    assert!(matches!(tx.commit().await, Err(TitoError::Conflict { .. })));
}

#[tokio::test]
async fn an_injected_conflict_is_replayed() {
    let db = open().await;
    db.faults().at(Call::Commit).conflict();
    put(&db, "a").await.unwrap();
    assert!(exists(&db, "a").await);
    assert_eq!(db.faults().count(Call::Begin), 2);
}

#[tokio::test]
async fn a_key_prefix_chooses_reads_scans_and_commits() {
    let db = open().await;
    let tx = db.begin().await.unwrap();
    db.faults().at(Call::Get).key_prefix("data:").always().storage_error();
    assert!(tx.get(b"data:1").await.is_err());
    tx.get(b"event:1").await.unwrap();
    db.faults().at(Call::Scan).key_prefix("data:").always().storage_error();
    assert!(tx.scan(KeyRange::prefix("data:"), 1).await.is_err());
    assert!(tx.scan(KeyRange::new("a", "z"), 1).await.is_err());
    assert!(tx.scan_reverse(KeyRange::prefix("data:user:"), 1).await.is_err());
    tx.scan(KeyRange::prefix("event:"), 1).await.unwrap();
    tx.scan(KeyRange::new("a", "data:"), 1).await.unwrap();
    db.faults().at(Call::Commit).key_prefix("data:").storage_error();
    put(&db, "event:1").await.unwrap();
    put(&db, "data:1").await.unwrap_err();
    put(&db, "data:1").await.unwrap();
}

#[tokio::test]
async fn every_kind_of_call_can_fail_and_is_counted() {
    let db = open().await;
    let faults = db.faults().clone();
    let all = [
        Call::Begin,
        Call::Snapshot,
        Call::Timestamp,
        Call::Get,
        Call::BatchGet,
        Call::Scan,
        Call::Put,
        Call::Insert,
        Call::Delete,
        Call::Lock,
        Call::Commit,
    ];
    let tx = db.begin().await.unwrap();
    faults.reset_counts();
    for call in all {
        faults.at(call).storage_error();
        let outcome = match call {
            Call::Begin => db.begin().await.map(drop),
            Call::Snapshot => db.snapshot().await.map(drop),
            Call::Timestamp => db.timestamp().await.map(drop),
            Call::Get => tx.get(b"a").await.map(drop),
            Call::BatchGet => tx.batch_get(vec![b"a".to_vec()]).await.map(drop),
            Call::Scan => tx.scan_reverse(KeyRange::prefix("a"), 1).await.map(drop),
            Call::Put => tx.put(b"a".to_vec(), vec![]).await,
            Call::Insert => tx.insert(b"a".to_vec(), vec![]).await,
            Call::Delete => tx.delete(b"a".to_vec()).await,
            Call::Lock => tx.lock_keys(vec![b"a".to_vec()]).await,
            Call::Commit => tx.commit().await.map(drop),
        };
        assert!(matches!(outcome, Err(TitoError::Storage { .. })), "{call:?}: {outcome:?}");
        assert_eq!(faults.count(call), 1, "{call:?}");
    }
}

#[tokio::test]
async fn a_held_call_goes_on_when_its_gate_is_opened() {
    let db = open().await;
    let gate = db.faults().at(Call::Commit).hold();
    let held = tokio::spawn({
        let db = db.clone();
        async move { put(&db, "a").await }
    });
    gate.arrivals(1).await;
    assert!(!exists(&db, "a").await);
    put(&db, "b").await.unwrap();
    gate.open();
    held.await.unwrap().unwrap();
    assert!(exists(&db, "a").await);
}

#[tokio::test]
async fn a_delay_is_measured_by_the_engines_clock() {
    let clock = TestClock::new();
    let settings = EngineSettings::default().test_clock(&clock);
    let db = FaultEngine::new(tito_test_engines::in_memory_with(settings).await.unwrap()).database();
    db.faults().at(Call::Commit).delay(Duration::from_secs(2));
    let delayed = tokio::spawn({
        let db = db.clone();
        async move { put(&db, "a").await }
    });
    let until = clock.waited_for().await;
    assert!(!exists(&db, "a").await);
    clock.advance_to(until);
    delayed.await.unwrap().unwrap();
    assert!(exists(&db, "a").await);
}

#[tokio::test]
async fn faults_at_random_are_the_same_for_one_seed() {
    async fn outcomes(seed: u64) -> Vec<bool> {
        let db = FaultEngine::seeded(tito_test_engines::in_memory().await.unwrap(), seed).database();
        db.faults().at(Call::Timestamp).with_probability(0.5).storage_error();
        let mut outcomes = Vec::new();
        for _ in 0..64 {
            outcomes.push(db.timestamp().await.is_ok());
        }
        outcomes
    }
    let first = outcomes(7).await;
    assert_eq!(first, outcomes(7).await);
    assert_ne!(first, outcomes(8).await);
    assert!(first.contains(&true) && first.contains(&false));
}

#[tokio::test]
async fn cleared_faults_do_not_come() {
    let db = open().await;
    db.faults().at(Call::Commit).always().storage_error();
    put(&db, "a").await.unwrap_err();
    db.faults().clear();
    put(&db, "a").await.unwrap();
}

#[tokio::test]
async fn what_is_over_a_limit_is_refused_before_the_engine_hears_of_it() {
    let limits = tito_core::engine::Limits { transaction_keys: 3, ..Default::default() };
    let settings = EngineSettings::default().limits(limits);
    let db = FaultEngine::new(tito_test_engines::in_memory_with(settings).await.unwrap()).database();
    let tx = db.begin().await.unwrap();
    let keys = |count: usize| (0..count).map(|key| format!("k{key}").into_bytes()).collect::<Vec<_>>();
    assert!(matches!(tx.lock_keys(keys(4)).await, Err(TitoError::LimitExceeded { .. })));
    assert_eq!(db.faults().count(Call::Lock), 0);
    tx.lock_keys(keys(2)).await.unwrap();
    tx.insert(b"a".to_vec(), vec![]).await.unwrap();
    assert!(matches!(tx.put(b"b".to_vec(), vec![]).await, Err(TitoError::LimitExceeded { .. })));
    assert!(matches!(tx.insert(b"a".to_vec(), vec![]).await, Err(TitoError::AlreadyExists { .. })));
    assert_eq!((db.faults().count(Call::Put), db.faults().count(Call::Insert)), (0, 1));
}

#[tokio::test]
async fn the_engine_below_is_found_through_the_faults() {
    use tito_core::embedded::EmbeddedBackend;

    let db = open().await;
    assert!(db.backend::<FaultEngine>().is_some());
    assert!(db.backend::<EmbeddedBackend>().unwrap().sizes().await.is_ok());
    assert!(db.without_faults().backend::<FaultEngine>().is_none());
}
