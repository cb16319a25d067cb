//! Of two transactions that write one key, the one that commits first wins.

use futures::future::join_all;
use tito_core::{Result, Timestamp, TitoError, Transaction};

use crate::conformance::Opener;
use crate::conformance::support::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Write {
    Put,
    Insert,
    Delete,
    Lock,
}

impl Write {
    async fn apply(self, tx: &Transaction, key: &str, value: &str) -> Result<()> {
        match self {
            Self::Put => tx.put(bytes(key), bytes(value)).await,
            Self::Insert => tx.insert(bytes(key), bytes(value)).await,
            Self::Delete => tx.delete(bytes(key)).await,
            Self::Lock => tx.lock_keys(vec![bytes(key)]).await,
        }
    }
}

/// Two transactions begin, both write "contested" and a key of their own, the first commits, then the second. Returns
/// the second one's result, after checking what is visible.
async fn race(opener: Opener, first: Write, second: Write) -> Result<Timestamp> {
    let database = open(opener).await;
    let engine = database.database();
    let exists = ![first, second].contains(&Write::Insert);
    if exists {
        store(&engine, &[("contested", "old")]).await;
    }
    let winner = engine.begin().await.unwrap();
    let loser = engine.begin().await.unwrap();
    put(&loser, "a-loser", "written").await;
    first.apply(&winner, "contested", "winner").await.unwrap();
    put(&winner, "winner", "written").await;
    let applied = second.apply(&loser, "contested", "loser").await;
    put(&loser, "z-loser", "written").await;
    winner.commit().await.unwrap();
    let outcome = match applied {
        Ok(()) => loser.commit().await,
        Err(error) => Err(error),
    };
    drop(loser);

    let expected = match first {
        Write::Put | Write::Insert => Some("winner"),
        Write::Delete => None,
        Write::Lock => exists.then_some("old"),
    };
    assert_eq!(read(&engine, "contested").await.as_deref(), expected, "{first:?} before {second:?}");
    assert_eq!(read(&engine, "winner").await.as_deref(), Some("written"));
    assert_eq!(read(&engine, "a-loser").await, None, "half of the loser is visible");
    assert_eq!(read(&engine, "z-loser").await, None, "half of the loser is visible");
    outcome
}

pub async fn the_second_of_two_puts_fails(opener: Opener) {
    assert_conflict(race(opener, Write::Put, Write::Put).await, "contested");
}

pub async fn a_delete_after_a_put_fails(opener: Opener) {
    assert_conflict(race(opener, Write::Put, Write::Delete).await, "contested");
}

pub async fn a_put_after_a_delete_fails(opener: Opener) {
    assert_conflict(race(opener, Write::Delete, Write::Put).await, "contested");
}

pub async fn the_second_of_two_deletes_fails(opener: Opener) {
    assert_conflict(race(opener, Write::Delete, Write::Delete).await, "contested");
}

pub async fn the_second_of_two_inserts_fails(opener: Opener) {
    let outcome = race(opener, Write::Insert, Write::Insert).await;
    assert!(
        matches!(outcome, Err(TitoError::Conflict { .. } | TitoError::AlreadyExists { .. })),
        "an insert that lost its race got {outcome:?}"
    );
}

pub async fn a_put_after_an_insert_fails(opener: Opener) {
    assert_conflict(race(opener, Write::Insert, Write::Put).await, "contested");
}

pub async fn the_second_of_two_locks_fails(opener: Opener) {
    assert_conflict(race(opener, Write::Lock, Write::Lock).await, "contested");
}

pub async fn a_lock_after_a_write_fails(opener: Opener) {
    assert_conflict(race(opener, Write::Put, Write::Lock).await, "contested");
    assert_conflict(race(opener, Write::Delete, Write::Lock).await, "contested");
}

pub async fn a_write_after_a_lock_fails(opener: Opener) {
    assert_conflict(race(opener, Write::Lock, Write::Put).await, "contested");
    assert_conflict(race(opener, Write::Lock, Write::Delete).await, "contested");
}

pub async fn reads_do_not_save_a_loser(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("counter", "1")]).await;
    let first = engine.begin().await.unwrap();
    let second = engine.begin().await.unwrap();
    increment(&first, "counter").await.unwrap();
    increment(&second, "counter").await.unwrap();
    first.commit().await.unwrap();
    assert_conflict(second.commit().await, "counter");
    assert_eq!(read(&engine, "counter").await.as_deref(), Some("2"), "an update was lost");
}

pub async fn disjoint_keys_do_not_conflict(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let keys = ["k", "k\0", "k\u{1}", "ka", "kb", "j"];
    let transactions = join_all(keys.iter().map(|_| engine.begin())).await;
    for (tx, key) in transactions.iter().zip(keys) {
        put(tx.as_ref().unwrap(), key, "1").await;
    }
    for tx in transactions {
        tx.unwrap().commit().await.unwrap();
    }
    assert_eq!(scan(&engine.begin().await.unwrap(), "a", "z", 10).await.len(), keys.len());
}

pub async fn reading_what_another_writes_is_no_conflict(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("a", "1"), ("b", "1")]).await;
    let reader = engine.begin().await.unwrap();
    assert_eq!(scan(&reader, "a", "z", 10).await, ["a=1", "b=1"]);
    store(&engine, &[("a", "2")]).await;
    put(&reader, "b", "2").await;
    reader.commit().await.unwrap();
    assert_eq!(scan(&engine.begin().await.unwrap(), "a", "z", 10).await, ["a=2", "b=2"]);
}

pub async fn a_transaction_begun_after_a_commit_does_not_conflict_with_it(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    for round in 0..50 {
        let tx = engine.begin().await.unwrap();
        put(&tx, "key", &round.to_string()).await;
        tx.commit().await.unwrap();
    }
    assert_eq!(read(&engine, "key").await.as_deref(), Some("49"));
}

pub async fn a_read_only_transaction_never_conflicts(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("a", "1")]).await;
    let reader = engine.begin().await.unwrap();
    assert_eq!(get(&reader, "a").await.as_deref(), Some("1"));
    store(&engine, &[("a", "2")]).await;
    assert_eq!(scan(&reader, "a", "z", 10).await, ["a=1"]);
    reader.commit().await.unwrap();
}

/// Commits that arrive together may be made together, and still only one may win.
pub async fn of_many_commits_at_once_one_wins(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    for _ in 0..5 {
        let mut begun = Vec::new();
        for number in 0..16 {
            begun.push((engine.begin().await.unwrap(), number.to_string()));
        }
        // Concurrently, since on engines with guards each waits for the others' guards.
        join_all(begun.iter().map(|(tx, number)| put(tx, "contested", number))).await;
        let commits = begun.into_iter().map(|(tx, number)| async move { tx.commit().await.map(|_| number) });
        let tasks: Vec<_> = commits.map(tokio::spawn).collect();
        let mut winners = Vec::new();
        for outcome in join_all(tasks).await {
            match outcome.unwrap() {
                Ok(number) => winners.push(number),
                refused => assert_conflict(refused, "contested"),
            }
        }
        assert_eq!(winners.len(), 1, "winners: {winners:?}");
        assert_eq!(read(&engine, "contested").await, Some(winners[0].clone()));
    }
}
