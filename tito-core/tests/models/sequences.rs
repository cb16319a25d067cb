//! Any sequence of writes leaves exactly the rows, entries and events that it should.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tito_core::prelude::*;

use crate::support::*;

#[derive(Clone, Debug)]
enum Write {
    Insert(User),
    Update(User),
    Upsert(User),
    Delete(String),
}

/// Few values of each field, so that writes meet.
fn any_user() -> impl Strategy<Value = User> {
    let id = prop::sample::select(vec!["a", "a:b", "b", "🎈"]);
    let email = prop::sample::select(vec!["1@x", "2@x", "3@x", "4@x", "5@x", "6@x"]);
    let name = prop::sample::select(vec!["", "x", "x!"]);
    let tags = prop::collection::vec(prop::sample::select(vec!["red", "green", "blue"]).prop_map(str::to_string), 0..4);
    let score = prop::option::of(prop::sample::select(vec![-1.0, 0.0, f64::MAX]));
    (id, email, name, 0..3u32, any::<bool>(), tags, score).prop_map(|(id, email, name, age, active, tags, score)| {
        User {
            id: id.to_string(),
            org: format!("org{}", age % 2),
            email: email.to_string(),
            name: name.to_string(),
            age,
            active,
            tags,
            score,
            remind_at: None,
        }
    })
}

fn any_write() -> impl Strategy<Value = Write> {
    prop_oneof![
        any_user().prop_map(Write::Insert),
        any_user().prop_map(Write::Update),
        any_user().prop_map(Write::Upsert),
        any_user().prop_map(|user| Write::Delete(user.id)),
    ]
}

type Expected = (BTreeMap<String, User>, Vec<(String, String)>);

/// What a write should do to rows and events; `None` if it should fail.
fn predict((mut rows, mut events): Expected, write: &Write) -> Option<Expected> {
    let (row, action) = match write {
        Write::Insert(row) if rows.contains_key(&row.id) => return None,
        Write::Update(row) if !rows.contains_key(&row.id) => return None,
        Write::Delete(id) => {
            if rows.remove(id).is_some() {
                events.push(("user".to_string(), "delete".to_string()));
            }
            return Some((rows, events));
        }
        Write::Insert(row) | Write::Update(row) | Write::Upsert(row) => {
            (row, if rows.contains_key(&row.id) { "update" } else { "insert" })
        }
    };
    if rows.values().any(|other| other.id != row.id && other.email == row.email) {
        return None;
    }
    let old = rows.insert(row.id.clone(), row.clone());
    events.push(("user".to_string(), action.to_string()));
    if old.is_none_or(|old| old.email != row.email) {
        events.push(("email_changed".to_string(), action.to_string()));
    }
    Some((rows, events))
}

async fn apply(db: &Database, writes: Vec<Write>) -> tito_core::Result<()> {
    let users = db.model::<User>();
    db.transaction(|tx| async move {
        for write in &writes {
            match write {
                Write::Insert(row) => users.insert(row, &tx).await?,
                Write::Update(row) => users.update(row, &tx).await?,
                Write::Upsert(row) => users.upsert(row, &tx).await.map(|_| ())?,
                Write::Delete(id) => users.delete(id, &tx).await.map(|_| ())?,
            }
        }
        Ok(())
    })
    .await
}

async fn check(db: &Database, transactions: Vec<Vec<Write>>) -> Result<(), TestCaseError> {
    let tx = db.begin().await.unwrap();
    for prefix in ["data:", "index:", "event:"] {
        for (key, _) in stored(&tx, prefix).await {
            tx.system_keys().delete(key).await.unwrap();
        }
    }
    tx.commit().await.unwrap();

    let mut expected = Expected::default();
    for writes in transactions {
        let predicted = writes.iter().try_fold(expected.clone(), predict);
        let outcome = apply(db, writes).await;
        prop_assert_eq!(outcome.is_ok(), predicted.is_some(), "{:?}", outcome);
        expected = predicted.unwrap_or(expected);
    }
    assert_index_is_exact::<User>(db).await;
    let tx = db.begin().await.unwrap();
    let rows = db.model::<User>().rows().all(&tx).await.unwrap();
    prop_assert_eq!(rows, expected.0.into_values().collect::<Vec<_>>());
    let events: Vec<_> = events(db).await.into_iter().map(|event| (event.event_type, event.action)).collect();
    prop_assert_eq!(events, expected.1);
    Ok(())
}

#[fact]
pub async fn any_sequence_of_writes_leaves_exactly_what_the_rows_call_for(db: Database) {
    let runtime = tokio::runtime::Handle::current();
    let run = move || {
        let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
        let transactions = prop::collection::vec(prop::collection::vec(any_write(), 1..4), 1..20);
        runner.run(&transactions, |transactions| runtime.block_on(check(&db, transactions))).unwrap();
    };
    tokio::task::spawn_blocking(run).await.unwrap();
}
