//! Keys that begin like Tito's own.

use tito_core::keys::{self, KeyRange};
use tito_core::{Result, TitoError, Transaction};

use crate::conformance::Opener;
use crate::conformance::support::*;

/// The bare prefix, a possible key of Tito's, and an impossible one.
fn keys_with(prefix: &str) -> [Vec<u8>; 3] {
    ["", "mail", ":\u{1f980}"].map(|rest| format!("{prefix}{rest}").into_bytes())
}

fn assert_refused(refused: Result<()>, written: &[u8], expected: &str) {
    let error = refused.unwrap_err();
    let shown = error.to_string();
    assert!(!error.is_retryable() && !error.is_engine_failure(), "{shown}");
    let TitoError::ReservedKey { key, prefix } = error else { panic!("{shown}") };
    assert_eq!((key.as_bytes(), prefix), (written, expected));
    for part in [prefix, &key.to_string(), "system_keys", "app/"] {
        assert!(shown.contains(part), "{shown}");
    }
}

async fn assert_all_refused(tx: &Transaction) {
    for prefix in keys::reserved_prefixes() {
        for key in keys_with(prefix) {
            assert_refused(tx.put(key.clone(), bytes("1")).await, &key, prefix);
            assert_refused(tx.insert(key.clone(), bytes("1")).await, &key, prefix);
            assert_refused(tx.delete(key.clone()).await, &key, prefix);
        }
    }
}

pub async fn raw_writes_of_them_are_refused_and_leave_the_transaction_as_it_was(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    assert!(keys::reserved_prefixes().count() > 18);
    let before = engine.begin().await.unwrap().scan(KeyRange::prefix(""), 1_000).await.unwrap();
    let tx = engine.begin().await.unwrap();
    put(&tx, "mine", "1").await;
    assert_all_refused(&tx).await;
    assert_all_refused(&tx.lend().handle()).await;
    assert_all_refused(&tx.checking_inserts()).await;
    let nested = tx.nested();
    assert_all_refused(&nested).await;
    nested.merge().unwrap();
    tx.commit().await.unwrap();
    let mut after = engine.begin().await.unwrap().scan(KeyRange::prefix(""), 1_000).await.unwrap();
    after.retain(|(key, _)| key != b"mine");
    assert_eq!(after, before);
}

/// Through a closure's handle, as applications use it: the error ends the transaction like any other.
pub async fn a_refused_write_is_the_error_of_its_transaction(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let refused = engine.transaction(|tx| async move {
        tx.put(bytes("mine"), bytes("1")).await?;
        tx.put(bytes("topic:mail"), bytes("1")).await
    });
    assert_refused(refused.await, b"topic:mail", "topic:");
    assert_eq!(get(&engine.begin().await.unwrap(), "mine").await, None);
}

pub async fn keys_that_only_look_like_them_are_the_applications_own(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let own = [
        "",
        "user:17",
        "Topic:mail",
        "topic",
        "topics:mail",
        "topic/mail",
        "my topic:mail",
        ":topic:",
        "app!",
        "row:1",
    ];
    for key in own.iter().skip(1) {
        let tx = engine.begin().await.unwrap();
        tx.insert(bytes(key), bytes("1")).await.unwrap();
        tx.put(bytes(key), bytes("2")).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(get(&engine.begin().await.unwrap(), key).await.as_deref(), Some("2"), "{key}");
        engine.transaction(|tx| async move { tx.delete(bytes(key)).await }).await.unwrap();
    }
    assert!(own.iter().all(|key| keys::reserved_prefix(key.as_bytes()).is_none()));
}

pub async fn they_are_read_and_locked_like_others_and_written_by_a_door_of_their_own(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    for key in keys::reserved_prefixes().map(|prefix| format!("{prefix}repaired")) {
        let tx = engine.begin().await.unwrap();
        assert_eq!(tx.get(key.as_bytes()).await.unwrap(), None);
        tx.lock_keys(vec![bytes(&key)]).await.unwrap();
        tx.system_keys().insert(bytes(&key), bytes("1")).await.unwrap();
        tx.system_keys().put(bytes(&key), bytes("2")).await.unwrap();
        tx.commit().await.unwrap();

        let tx = engine.begin().await.unwrap();
        let found = tx.scan(KeyRange::prefix(key.as_bytes()), 10).await.unwrap();
        assert_eq!(found, [(bytes(&key), bytes("2"))]);
        let again = bytes(&key);
        let taken = engine.transaction(|tx| async move { tx.system_keys().insert(again, bytes("3")).await }).await;
        assert!(matches!(taken, Err(TitoError::AlreadyExists { .. })), "{taken:?}");
        tx.system_keys().delete(bytes(&key)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(get(&engine.begin().await.unwrap(), &key).await, None);
    }
}
