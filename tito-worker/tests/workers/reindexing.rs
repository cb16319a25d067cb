//! Operations that make an index whole, and those that resume what a restore has paused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tito_core::event::Rate;
use tito_core::prelude::*;
use tito_core::{BoxError, Transaction, TxOptions};
use tito_testkit::{FaultEngine, TestClock};
use tito_worker::prelude::*;
use tito_worker::{
    EventFilter, NamedStep, Operation, OperationInfo, OperationState, OperationTask, Operator, QueueError, Schedule,
    Stepped,
};
use uuid::Uuid;

use crate::support::*;

#[derive(Clone, Debug, Serialize, Deserialize, TitoModel)]
struct User {
    id: String,
    #[tito(index(name = "by_email", unique))]
    email: String,
    #[tito(index)]
    age: u32,
}

const USERS: usize = 11;

fn reindex(index: &str) -> OperationTask {
    OperationTask::Reindex { table: "user".to_string(), index: index.to_string() }
}

async fn start(db: &Database, task: OperationTask, rate: Option<Rate>) -> Uuid {
    let operation = Operation::new(task, &Operator::new("ada"));
    let operation = rate.into_iter().fold(operation, Operation::rate);
    TitoQueue::new(db.clone()).operations().start(operation).await.unwrap()
}

async fn delete_all(db: &Database, prefix: &str) {
    for (key, _) in stored(db, prefix).await {
        db.transaction(|tx| async move { tx.system_keys().delete(key).await }).await.unwrap();
    }
}

async fn insert(db: &Database) {
    let users = db.model::<User>();
    db.transaction(|tx| async move {
        for number in 0..USERS {
            let user = User { id: format!("u{number:02}"), email: format!("{number}@example.com"), age: 7 };
            users.insert(&user, &tx).await?;
        }
        Ok(())
    })
    .await
    .unwrap();
}

/// Takes half of the entries away, and adds some that no row calls for.
async fn damage(db: &Database) {
    for (key, _) in stored(db, "index:user:by_email:").await.into_iter().step_by(2) {
        db.transaction(|tx| async move { tx.system_keys().delete(key).await }).await.unwrap();
    }
    for number in 0..4 {
        put(db, format!("index:user:by_email:gone{number}!"), "u01").await;
    }
}

fn knows(db: &Database) -> Worker {
    Worker::builder(TitoQueue::new(db.clone())).model::<User>().build()
}

async fn assert_whole(db: &Database, what: &str) {
    let report = db.model::<User>().check().run().await.unwrap();
    assert_eq!((report.rows, report.missing_entries, report.stale_entries), (USERS as u64, 0, 0), "{what}");
    let catalogue = stored(db, "catalogue:user").await;
    assert!(!String::from_utf8_lossy(&catalogue[0].1).contains("building"), "{what}");
}

#[fact]
pub async fn an_index_is_made_whole_by_a_worker_whose_application_has_the_model(db: Database, clock: TestClock) {
    insert(&db).await;
    damage(&db).await;
    let operations = TitoQueue::new(db.clone()).operations();
    let id = start(&db, reindex("by_email"), None).await;
    let unknown = start(&db, reindex("by_name"), None).await;
    assert_eq!(operations.get(id).await.unwrap().at_least, USERS as u64);
    assert!(matches!(operations.run(id).await, Err(QueueError::UnknownStep { .. })));
    // One worker knows the model, the other does not.
    let without = Running::start(Worker::builder(TitoQueue::new(db.clone())));
    let with = Running::start(Worker::builder(TitoQueue::new(db.clone())).model::<User>());
    let info = turning(&clock, operations.wait(id)).await.unwrap();
    assert_eq!((info.state, info.searched, info.done), (OperationState::Done, USERS as u64, 6 + 4));
    assert_whole(&db, "").await;
    assert_eq!(operations.get(unknown).await.unwrap().state, OperationState::Waiting, "no model has it");
    with.stop().await;
    without.stop().await;
    let no_table = OperationTask::Reindex { table: "users".to_string(), index: "by_email".to_string() };
    let error = operations.start(Operation::new(no_table, &Operator::new("ada"))).await.unwrap_err();
    assert!(matches!(error, QueueError::Engine(TitoError::InvalidIndex { .. })), "{error:?}");
}

/// An index that is new is built, in steps, and answers queries then.
#[fact]
pub async fn a_new_index_is_built_at_its_rate_and_one_that_is_stopped_goes_no_further(db: Database, clock: TestClock) {
    insert(&db).await;
    delete_all(&db, "index:user:by_email:").await;
    put(&db, "catalogue:user", r#"{"indexes":{"age":{"fingerprint":"00","state":"behind"}}}"#).await;
    let worker = knows(&db);
    let operations = TitoQueue::new(db.clone()).operations();
    let one_a_second = Some(Rate::per_second(1));
    let id = start(&db, reindex("by_email"), one_a_second).await;
    let half = async {
        while operations.get(id).await.unwrap().searched < 2 {
            tokio::task::yield_now().await;
        }
    };
    let stopped = async {
        tokio::select! {
            info = worker.run_operation(id) => panic!("{info:?}"),
            () = half => {}
        }
    };
    turning(&clock, stopped).await;
    assert!(operations.stop(id).await.unwrap());
    let stopped = worker.run_operation(id).await.unwrap();
    assert_eq!((stopped.state, stopped.searched), (OperationState::Stopped, stopped.done));
    assert!((2..6).contains(&stopped.done), "{stopped:?}");
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    let error = users.query(User::BY_EMAIL).equals("1@example.com").all(&tx).await.unwrap_err();
    assert!(matches!(error, TitoError::IndexNotBuilt { .. }), "{error:?}");
    tx.rollback().await;
    // The next one goes on where the building was.
    let again = start(&db, reindex("by_email"), None).await;
    let info = turning(&clock, worker.run_operation(again)).await.unwrap();
    let left = USERS as u64 - stopped.done;
    assert_eq!((info.state, info.searched, info.done), (OperationState::Done, left, left));
    let tx = db.begin().await.unwrap();
    assert_eq!(users.query(User::BY_EMAIL).equals("1@example.com").all(&tx).await.unwrap().len(), 1);
    tx.rollback().await;
}

#[fact]
pub async fn an_index_whose_rows_contradict_it_is_no_endless_operation(db: Database, clock: TestClock) {
    insert(&db).await;
    delete_all(&db, "index:user:by_email:").await;
    put(&db, "data:user:u99", r#"{"id":"u99","email":"1@example.com","age":7}"#).await;
    let id = start(&db, reindex("by_email"), None).await;
    let info = turning(&clock, knows(&db).run_operation(id)).await.unwrap();
    assert_eq!(info.state, OperationState::Failed);
    assert!(info.failure.unwrap().contains("u99"));
}

/// Dead at every commit.
#[fact]
pub async fn a_death_at_any_step_of_a_reindexing_counts_nothing_twice(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    for how in [Interruption::Dropped, Interruption::Unknown] {
        for n in 1.. {
            for prefix in ["data:", "index:", "!operation:"] {
                delete_all(&db, prefix).await;
            }
            insert(&db).await;
            damage(&db).await;
            let worker = knows(&db);
            let id = start(&db, reindex("by_email"), Some(Rate { events: 4, seconds: 1 })).await;
            let was_interrupted = interrupted(&db, &clock, (how, n), worker.run_operation(id)).await;
            let info = turning(&clock, worker.run_operation(id)).await.unwrap();
            let expected = (OperationState::Done, USERS as u64, 10);
            assert_eq!((info.state, info.searched, info.done), expected, "{how:?} {n}");
            assert_whole(&db, &format!("{how:?} {n}")).await;
            if !was_interrupted {
                assert!(n > 6, "it takes several steps, not {n}");
                break;
            }
        }
    }
}

/// As a restore leaves it: what it has paused, what was paused before, and a row that can't be read.
async fn restored(db: &Database) {
    for topic in 0..3 {
        put(db, format!("topic:t{topic}"), r#"{"partitions":4,"revision":3,"paused":true,"paused_by_restore":true}"#)
            .await;
    }
    let groups = r#"{"mail":{"since":1,"paused":true},"audit":{"since":1,"paused":true,"paused_by_restore":true}}"#;
    put(db, "topic:grouped", format!(r#"{{"partitions":4,"paused":true,"groups":{groups}}}"#)).await;
    put(db, "topic:zzz", "{").await;
}

#[fact]
pub async fn what_a_restore_has_paused_goes_on_by_an_operation_that_any_worker_steps(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    for how in [Interruption::Dropped, Interruption::Unknown] {
        for n in 1.. {
            for prefix in ["topic:", "schedule:", "!operation:"] {
                delete_all(&db, prefix).await;
            }
            restored(&db).await;
            for (name, by_restore) in [("daily", true), ("hourly", false)] {
                let schedule = Schedule::every(name, Duration::from_secs(3_600)).publishes(Publish::new("tick", "x"));
                queue.put_schedule(schedule).await.unwrap();
                let (key, value) = stored(&db, &format!("schedule:{name}")).await.remove(0);
                let mut row: serde_json::Value = serde_json::from_slice(&value).unwrap();
                row["paused"] = json!(true);
                if by_restore {
                    row["paused_by_restore"] = json!(true);
                }
                put(&db, key, row.to_string()).await;
            }
            let id = start(&db, OperationTask::Resume, None).await;
            let was_interrupted = interrupted(&db, &clock, (how, n), queue.operations().run(id)).await;
            let info: OperationInfo = turning(&clock, queue.operations().run(id)).await.unwrap();
            let counts = (info.state, info.done, info.searched, info.skipped);
            let looked_at = stored(&db, "topic:").await.len() + stored(&db, "schedule:").await.len();
            assert_eq!(counts, (OperationState::Done, 5, looked_at as u64, 1), "{how:?} {n}");
            let topic = stored(&db, "topic:t1").await.remove(0).1;
            assert_eq!(String::from_utf8(topic).unwrap(), r#"{"partitions":4,"revision":4}"#);
            let grouped = String::from_utf8(stored(&db, "topic:grouped").await.remove(0).1).unwrap();
            assert!(!grouped.contains("paused_by_restore"), "{grouped}");
            assert_eq!(grouped.matches(r#""paused":true"#).count(), 2, "what was paused before stays so: {grouped}");
            let paused = queue.schedules().await.unwrap().into_iter().map(|info| (info.name, info.paused));
            assert_eq!(paused.collect::<Vec<_>>(), [("daily".to_string(), false), ("hourly".to_string(), true)]);
            if !was_interrupted {
                assert!(n > 2);
                break;
            }
        }
    }
}

/// A step of the application's own is done again after a death; by its key it takes effect once.
#[fact]
pub async fn a_step_that_is_done_again_after_a_death_can_tell_by_its_key(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    for n in 1.. {
        for prefix in ["app/", "txn:", "!operation:"] {
            delete_all(&db, prefix).await;
        }
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        let worker = Worker::builder(TitoQueue::new(db.clone()))
            .operation("credit", move |step: NamedStep| {
                counted.fetch_add(1, Ordering::SeqCst);
                async move {
                    let from = step.cursor.and_then(|cursor| cursor.as_u64()).unwrap_or(0);
                    let once = TxOptions::default().idempotency_key(step.key);
                    let credit = |tx: Transaction| async move { count(&tx, format!("app/{from}")).await };
                    match step.database.transaction_with(once, credit).await {
                        Ok(()) | Err(TitoError::AlreadyApplied { .. }) => {}
                        Err(error) => return Err(BoxError::from(error)),
                    }
                    Ok(Stepped { cursor: (from < 2).then(|| json!(from + 1)), done: 1 })
                }
            })
            .build();
        let task = OperationTask::Named { name: "credit".to_string(), input: json!(null) };
        let id = start(&db, task, None).await;
        let was_interrupted = interrupted(&db, &clock, (Interruption::Dropped, n), worker.run_operation(id)).await;
        let info = turning(&clock, worker.run_operation(id)).await.unwrap();
        assert_eq!((info.state, info.done), (OperationState::Done, 3), "{n}");
        assert_eq!(counts(&db, "app/").await, [1, 1, 1], "{n}: each once");
        if !was_interrupted {
            assert!(n > 8 && runs.load(Ordering::SeqCst) == 3);
            break;
        }
    }
}

/// Keys that are no text, at the ends of pages: what they are passed over by must not be another key before them.
#[fact]
pub async fn keys_that_are_no_text_are_passed_over_once(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    let large = vec![b'x'; 500_000];
    for number in 0..6_u8 {
        let key = [b"dead:job:0000:\xff\xfe".as_slice(), &[b'0' + number]].concat();
        put(&db, key, large.clone()).await;
    }
    let letters = EventFilter::default();
    let task = OperationTask::Redrive { queue: "job".to_string(), letters, in_order: false };
    let id = start(&db, task, None).await;
    let info = turning(&clock, TitoQueue::new(db.clone()).operations().run(id)).await.unwrap();
    assert_eq!((info.state, info.searched, info.skipped), (OperationState::Done, 6, 6));
}

#[fact]
pub async fn a_listing_of_operations_does_not_end_at_a_row_that_can_not_be_read(db: Database, clock: TestClock) {
    let operations = TitoQueue::new(db.clone()).operations();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(start(&db, OperationTask::Resume, None).await);
        clock.advance(Duration::from_secs(1));
    }
    for broken in [1, 3] {
        put(&db, format!("!operation:{}", ids[broken]), "7").await;
    }
    let two = operations.list(2, None).await.unwrap();
    assert_eq!(two.iter().map(|info| info.id).collect::<Vec<_>>(), [ids[4], ids[2]]);
    let rest = operations.list(2, Some(ids[2])).await.unwrap();
    assert_eq!(rest.iter().map(|info| info.id).collect::<Vec<_>>(), [ids[0]]);
    assert_eq!(operations.list(0, None).await.unwrap().len(), 0);
}
