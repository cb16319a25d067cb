//! What a call writes enters its transaction as a whole or not at all, wherever it is cut off.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tito_core::clock::Clock;
use tito_core::engine::{
    Direction, KeyValue, Limits, Mutations, Shared, Signals, TitoEngine, TitoSnapshot, TitoTransaction,
};
use tito_core::event::{OutboxEvent, write_event};
use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_core::{Now, Result, Timestamp, Transaction};

/// An engine each of whose calls waits once. It knows no topics at first.
struct Waiting(Database, Shared);

fn waiting(db: &Database) -> Database {
    Database::from_engine(Waiting(db.clone(), Shared::default()))
}

impl TitoEngine for Waiting {
    fn begin<'a>(&'a self, _: Option<&'a dyn TitoTransaction>) -> BoxFuture<'a, Result<Box<dyn TitoTransaction>>> {
        async {
            tokio::task::yield_now().await;
            Ok(Box::new(WaitingTransaction(self.0.engine().begin(None).await?)) as _)
        }
        .boxed()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn TitoSnapshot>>> {
        self.0.engine().snapshot()
    }

    fn timestamp(&self) -> BoxFuture<'_, Result<Timestamp>> {
        self.0.engine().timestamp()
    }

    fn now(&self) -> BoxFuture<'_, Result<Now>> {
        self.0.engine().now()
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        self.0.clock()
    }

    fn limits(&self) -> &Limits {
        self.0.limits()
    }

    fn max_transaction_age_millis(&self) -> u64 {
        self.0.max_transaction_age_millis()
    }

    fn shared(&self) -> &Shared {
        &self.1
    }
}

struct WaitingTransaction(Box<dyn TitoTransaction>);

/// The answer of a call that waits once.
fn later<'a, T: 'a>(answer: BoxFuture<'a, T>) -> BoxFuture<'a, T> {
    async {
        tokio::task::yield_now().await;
        answer.await
    }
    .boxed()
}

impl TitoTransaction for WaitingTransaction {
    fn start_timestamp(&self) -> Timestamp {
        self.0.start_timestamp()
    }

    fn now(&self) -> Now {
        self.0.now()
    }

    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Vec<u8>>>> {
        later(self.0.get(key))
    }

    fn batch_get(&self, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        later(self.0.batch_get(keys))
    }

    fn scan(&self, range: KeyRange, direction: Direction, limit: usize) -> BoxFuture<'_, Result<Vec<KeyValue>>> {
        later(self.0.scan(range, direction, limit))
    }

    fn commit(&self, mutations: Mutations, signals: Signals) -> BoxFuture<'_, Result<Timestamp>> {
        later(self.0.commit(mutations, signals))
    }

    fn rollback(&self) -> BoxFuture<'_, ()> {
        self.0.rollback()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TitoModel)]
#[tito(event = "signup")]
#[tito(event = "mail")]
struct User {
    id: String,
    #[tito(index(name = "by_email", unique))]
    email: String,
    #[tito(index)]
    tags: Vec<String>,
}

fn user(email: &str) -> User {
    User { id: "17".to_string(), email: email.to_string(), tags: vec!["a".to_string(), "b".to_string()] }
}

/// Drops a call when it waits for the `nth` time; false if it came to its end before.
async fn is_cut<T>(call: impl Future<Output = T>, nth: usize) -> bool {
    let mut call = pin!(call);
    let mut waits = 0;
    std::future::poll_fn(|context| match call.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(false),
        Poll::Pending if waits == nth => Poll::Ready(true),
        Poll::Pending => {
            waits += 1;
            Poll::Pending
        }
    })
    .await
}

/// The keys of rows, entries and events.
async fn keys(tx: &Transaction) -> Vec<String> {
    let mut keys = Vec::new();
    for kind in ["data:", "event:", "index:"] {
        let rows = tx.scan(KeyRange::prefix(kind), 1_000).await.unwrap();
        keys.extend(rows.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()));
    }
    // The ids of events differ.
    keys.iter_mut().filter(|key| key.starts_with("event:")).for_each(|key| key.truncate("event:mail:".len()));
    keys
}

/// Cuts a call off at each of its waits, and checks that what is committed then is the state before or the one after.
async fn all_or_nothing<F, Fut>(prepare: &[User], call: F) -> usize
where
    F: Fn(TitoTable<User>, Transaction) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    for nth in 0.. {
        let stored = EmbeddedBackend::in_memory().await.unwrap();
        let users = stored.model::<User>();
        for user in prepare {
            let (users, user) = (users.clone(), user.clone());
            stored.transaction(|tx| async move { users.insert(&user, &tx).await }).await.unwrap();
        }
        // Anew, so that the topics are read.
        let db = waiting(&stored);
        let users = db.model::<User>();
        let before = keys(&db.begin().await.unwrap()).await;
        let tx = db.begin().await.unwrap();
        let is_cut = is_cut(call(users.clone(), tx.clone()), nth).await;
        tx.put(b"mark".to_vec(), vec![]).await.unwrap();
        tx.commit().await.unwrap();
        let after = keys(&db.begin().await.unwrap()).await;
        if is_cut {
            assert_eq!(after, before, "cut off at its wait {nth}");
        } else {
            assert_ne!(after, before);
            return nth;
        }
    }
    unreachable!()
}

#[tokio::test]
async fn calls_of_a_model_are_made_as_a_whole_wherever_they_are_cut_off() {
    let insert = async |users: TitoTable<User>, tx: Transaction| users.insert(&user("a@b.c"), &tx).await;
    assert!(all_or_nothing(&[], insert).await >= 4, "both topics are read");
    let update = async |users: TitoTable<User>, tx: Transaction| users.update(&user("x@y.z"), &tx).await;
    assert!(all_or_nothing(&[user("a@b.c")], update).await >= 5);
    let upsert = async |users: TitoTable<User>, tx: Transaction| users.upsert(&user("x@y.z"), &tx).await.map(drop);
    assert!(all_or_nothing(&[user("a@b.c")], upsert).await >= 5);
    let delete = async |users: TitoTable<User>, tx: Transaction| users.delete("17", &tx).await.map(drop);
    assert!(all_or_nothing(&[user("a@b.c")], delete).await >= 5);
}

#[tokio::test]
async fn a_call_that_fails_half_way_changes_nothing() {
    let db = EmbeddedBackend::in_memory().await.unwrap();
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    users.insert(&user("a@b.c"), &tx).await.unwrap();
    let before = keys(&tx).await;
    // The row is new, and its unique value taken.
    let second = User { id: "18".to_string(), ..user("a@b.c") };
    let error = users.insert(&second, &tx).await.unwrap_err();
    assert_eq!(error.violated_index(), Some(("user".to_string(), "by_email".to_string())));
    assert_eq!(keys(&tx).await, before, "an error that is swallowed leaves nothing");
    let event = OutboxEvent {
        row: None,
        owner: None,
        event_type: "signup".to_string(),
        // Too large to be stored.
        entity: "x".repeat(db.limits().value_bytes),
        action: "insert".to_string(),
        timestamp: 0,
        headers: Default::default(),
        payload: None,
    };
    write_event(&tx, event).await.unwrap_err();
    assert_eq!(keys(&tx).await, before);
    tx.commit().await.unwrap();
    assert_eq!(keys(&db.begin().await.unwrap()).await, before);
}
