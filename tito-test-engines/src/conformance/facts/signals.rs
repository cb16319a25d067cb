//! What a commit tells listeners in its process.

use tito_core::engine::Signal;
use tito_core::{Database, Transaction};

use crate::conformance::Opener;
use crate::conformance::support::*;

fn signal(tx: &Transaction, payload: &str) {
    tx.signal(Signal { channel: "channel".into(), number: 3, payload: bytes(payload) });
}

fn listen(engine: &Database) -> tito_core::engine::Listener {
    engine.shared().listen("channel", 3)
}

pub async fn a_commit_tells_those_who_listen_before_it_answers(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let (listener, other) = (listen(&engine), engine.shared().listen("channel", 4));
    let tx = engine.begin().await.unwrap();
    put(&tx, "a", "1").await;
    signal(&tx, "second");
    signal(&tx, "first");
    assert!(!listener.is_woken(), "before the commit");
    tx.commit().await.unwrap();
    assert_eq!(listener.take().map(text).as_deref(), Some("first"), "the smallest of those that were not seen");
    assert!(!listener.is_woken() && !other.is_woken());
}

pub async fn a_commit_without_writes_tells_too(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let listener = listen(&engine);
    let tx = engine.begin().await.unwrap();
    signal(&tx, "told");
    tx.commit().await.unwrap();
    assert_eq!(listener.take().map(text).as_deref(), Some("told"));
}

pub async fn a_transaction_that_is_not_committed_tells_nothing(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let listener = listen(&engine);
    let [rolled_back, dropped, refused] =
        [engine.begin().await.unwrap(), engine.begin().await.unwrap(), engine.begin().await.unwrap()];
    for tx in [&rolled_back, &dropped, &refused] {
        put(tx, "a", "1").await;
        signal(tx, "not committed");
    }
    store(&engine, &[("a", "2")]).await;
    rolled_back.rollback().await;
    drop(dropped);
    assert_conflict(refused.commit().await, "a");
    assert!(!listener.is_woken());
}
