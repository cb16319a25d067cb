//! Models and their events in pessimistic transactions.

use serde::{Deserialize, Serialize};
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_core::tikv::Concurrency;
use tito_testkit::mock_tikv::MockCluster;
use tito_worker::prelude::*;

use crate::support::*;

async fn pessimistic(cluster: &MockCluster) -> Database {
    builder(cluster).concurrency(Concurrency::Pessimistic).connect().await.unwrap()
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, TitoModel)]
#[tito(event = "user")]
struct User {
    id: String,
    #[tito(index(unique))]
    email: String,
    #[tito(index)]
    age: u32,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_indexes_and_events_are_as_on_any_engine() {
    let cluster = four_regions().await;
    let db = pessimistic(&cluster).await;
    let users = db.clone().model::<User>();
    let user = |id: &str, age| User { id: id.to_string(), email: format!("{id}@example.com"), age };
    let insert = async |row: User| {
        let users = db.clone().model::<User>();
        db.transaction(|tx| async move { users.insert(&row, &tx).await }).await
    };
    insert(user("ada", 36)).await.unwrap();
    insert(user("bob", 36)).await.unwrap();
    let taken = insert(User { email: "ada@example.com".to_string(), ..user("eve", 1) }).await.unwrap_err();
    assert_eq!(taken.violated_index().unwrap().0, "user", "{taken}");
    assert!(matches!(insert(user("ada", 1)).await, Err(TitoError::AlreadyExists { .. })));
    let older = user("ada", 37);
    let (rows, row) = (users.clone(), older.clone());
    db.transaction(|tx| async move { rows.update(&row, &tx).await }).await.unwrap();
    let rows = users.clone();
    assert!(db.transaction(|tx| async move { rows.delete("bob", &tx).await }).await.unwrap());

    let tx = db.begin().await.unwrap();
    assert_eq!(users.rows().all(&tx).await.unwrap(), std::slice::from_ref(&older));
    let entries = tx.scan(tito_core::keys::KeyRange::prefix("index:user:"), 10).await.unwrap();
    assert_eq!(entries.len(), 2, "of one row with two indexes");
    drop(tx);
    let worker = Worker::builder(TitoQueue::new(db.clone()))
        .subscribe("user", |_: TitoEvent| async { Ok::<_, TitoError>(()) })
        .build();
    assert_eq!(in_time(worker.drain()).await.unwrap().done, 4);
    assert_eq!(in_time(worker.drain()).await.unwrap().done, 0);
    no_locks(&cluster).await;
}
