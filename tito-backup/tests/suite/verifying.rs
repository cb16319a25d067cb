//! A database that is used is sound; one that something has damaged is told of row by row.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tito_backup::{Verified, VerifyOptions, verify, verify_backup};
use tito_core::event::TitoEvent;
use tito_core::keys;
use tito_core::model::TitoTable;
use tito_core::prelude::*;
use tito_core::{BoxError, Transaction};
use tito_eventstore::types::{Binary, ForeignType, Registry};
use tito_eventstore::{
    Event, EventStore, EventStoreConfig, Manager, NewEvent, Projection, Projector, Retention, StoreCheck,
};
use tito_testkit::{Harness, TestClock};
use tito_worker::prelude::*;
use tito_worker::{GroupStart, Schedule, Unique};

use crate::support::*;

#[derive(Clone, Debug, Serialize, Deserialize, TitoModel)]
#[tito(event = "user", on(insert, update))]
struct User {
    id: String,
    #[tito(index(name = "by_email", unique))]
    email: String,
    #[tito(index)]
    age: u32,
}

fn user(id: &str, age: u32) -> User {
    User { id: id.to_string(), email: format!("{id}@example.com"), age }
}

/// A row for each entity.
struct Balances(TitoTable<User>);

impl Projector for Balances {
    fn name(&self) -> &str {
        "balances"
    }

    async fn project(&self, event: &Event, tx: &Transaction) -> Result<(), BoxError> {
        self.0.upsert(&user(event.entity_id(), event.sequence() as u32), tx).await?;
        Ok(())
    }
}

pub async fn store(db: &Database) -> EventStore {
    Manager::new(db.clone()).create_event_store(EventStoreConfig::new("bank")).await.unwrap()
}

pub async fn append(store: &EventStore, count: usize) {
    let events = (0..count).map(|number| {
        let entity = if number == 21 { "closed.1".to_string() } else { format!("account.{}", number % 3) };
        NewEvent::raw(entity, "paid", "7")
    });
    store.append(events.collect::<Vec<_>>()).await.unwrap();
}

/// Of everything that Tito stores something.
pub async fn used(db: &Database, clock: &TestClock) -> EventStore {
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("user", 5).await.unwrap();
    turning(clock, queue.add_group("user", "mail", GroupStart::Now)).await.unwrap();
    queue.set_history("user", Some(Duration::from_secs(3_600))).await.unwrap();
    queue
        .put_schedule(Schedule::every("hourly", Duration::from_secs(3_600)).publishes(Publish::new("tick", "x")))
        .await
        .unwrap();
    let users = db.model::<User>();
    for number in 0..9 {
        let (users, number) = (users.clone(), number);
        db.transaction(|tx| async move { users.insert(&user(&format!("u:{number}"), number), &tx).await })
            .await
            .unwrap();
    }
    db.transaction(|tx| {
        let users = users.clone();
        async move { users.delete("u:3", &tx).await.map(drop) }
    })
    .await
    .unwrap();
    let failing = |event: TitoEvent| async move {
        match event.entity.as_str() {
            "user:u:1" => Err("it fails"),
            _ => Ok(()),
        }
    };
    Harness::new(db, clock).subscribe("user", failing).drain().await.unwrap();
    db.transaction(|tx| {
        let queue = queue.clone();
        async move {
            let unique = Unique::key("welcome:1").window(Duration::from_secs(60));
            queue.publish_unique(Publish::new("user", "user:u:1"), unique, &tx).await.map(drop)
        }
    })
    .await
    .unwrap();
    let options = tito_core::TxOptions::default().idempotency_key("paid:1");
    let write = |tx: Transaction| async move { tx.put(b"app/paid".to_vec(), b"not json".to_vec()).await };
    db.transaction_with(options, write).await.unwrap();

    let bank = store(db).await;
    let projection = Projection::new(&bank, Balances(bank.view("balances").model())).await.unwrap();
    append(&bank, 40).await;
    turning(clock, projection.catch_up()).await.unwrap();
    let manager = Manager::new(db.clone());
    manager.update_event_store(EventStoreConfig::new("bank").retention(Retention::default().events(25))).await.unwrap();
    manager.sweep().await.unwrap();
    assert_eq!(bank.erase("closed.1").await.unwrap().events, 1);
    bank
}

/// Everything in the database, with values that are no texts.
pub async fn raw(db: &Database) -> BTreeMap<String, Vec<u8>> {
    let tx = db.begin().await.unwrap();
    let rows = tx.scan(keys::KeyRange::prefix(""), 1_000_000).await.unwrap();
    rows.into_iter().map(|(key, value)| (String::from_utf8(key).unwrap(), value)).collect()
}

async fn put_raw(db: &Database, key: &str, value: &[u8]) {
    let (key, value) = (key.as_bytes().to_vec(), value.to_vec());
    db.transaction(|tx| async move { tx.system_keys().put(key, value).await }).await.unwrap();
}

/// The number of the event store.
pub async fn number(db: &Database) -> u64 {
    let definition: serde_json::Value = serde_json::from_slice(&raw(db).await["store:bank"]).unwrap();
    definition["id"].as_u64().unwrap()
}

pub fn options() -> VerifyOptions {
    VerifyOptions::default()
}

pub fn told(verified: &Verified) -> Vec<String> {
    verified.differences.iter().map(|difference| format!("{}: {}", difference.key, difference.wrong)).collect()
}

#[fact]
pub async fn a_database_in_use_is_sound(db: Database, clock: TestClock) {
    used(&db, &clock).await;
    let verified = verify(&db, &options()).await.unwrap();
    assert_eq!(told(&verified), Vec::<String>::new());
    assert!(verified.is_sound() && !verified.is_complete());
    assert_eq!((verified.unknown, verified.entries), (0, raw(&db).await.len() as u64));
    assert_eq!(verified.tables_without_model, ["user"]);
    assert_eq!(verified.stores_without_types, ["bank"]);
    let of_models = verify(&db, &options().model::<User>()).await.unwrap();
    assert!(of_models.is_sound() && !of_models.is_complete() && of_models.tables_without_model.is_empty());
    let types =
        Registry::builder().foreign(ForeignType::<Binary, Vec<u8>>::new("paid", b"7".to_vec())).build().unwrap();
    let all = options().model::<User>().store(StoreCheck::new("bank").types(types));
    let complete = verify(&db, &all).await.unwrap();
    assert!(complete.is_sound() && complete.is_complete(), "{complete:?}");
    assert_eq!(complete.models[0].1.rows, 8);

    // And so is what is restored of it, which the verification of a backup shows.
    let (bytes, _) = backed_up(&db, 1_000).await;
    let scratch = tempfile::tempdir().unwrap();
    let verified = verify_backup(&bytes[..], scratch.path(), &options()).await.unwrap();
    assert!(verified.is_sound(), "{:?}", told(&verified));
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "nothing is left");
    verify_backup(&bytes[..bytes.len() - 1], scratch.path(), &options()).await.unwrap_err();
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "nothing is left of a damaged one either");
}

pub async fn delete(db: &Database, key: Vec<u8>) {
    db.transaction(|tx| async move { tx.system_keys().delete(key).await }).await.unwrap();
}

pub const ID: &str = "018bcfe5-6800-7000-8000-000000000000";

pub fn event(topic: &str, entity: &str) -> String {
    format!(
        r#"{{"id":"{ID}","type":"{topic}","entity":"{entity}","action":"publish","timestamp":1700000000,"attempt":0}}"#
    )
}

/// Each with what is told of it.
#[fact]
pub async fn every_kind_of_damage_is_told(db: Database) {
    put(&db, &[("topic:job", "{\"partitions\":4,\"groups\":{\"mail\":{\"since\":1}}}")]).await;
    let at = |queue: &str, partition: u16| format!("event:{queue}:{partition:04}:1700000000:{ID}");
    let expected = keys::partition_of("a", 4);
    let other = (expected + 1) % 4;
    let cases = [
        ("data:user:ada".to_string(), "{\"id\":".to_string(), "not a row in JSON"),
        ("data:user".to_string(), "{}".to_string(), "expected the key of a row"),
        ("index:user:by_email:ada!".to_string(), "ada".to_string(), "row data:user:ada does not exist"),
        ("index:user:by_age:p017:ada".to_string(), String::new(), "row data:user:ada does not exist"),
        ("index:user:by_age".to_string(), String::new(), "expected the key of an index entry"),
        (at("job", other), event("job", "a"), "its entity \"a\" belongs in"),
        (at("job", expected), "[]".to_string(), "not an event in JSON"),
        (at("job", expected), event("other", "a"), "not the event that its key tells"),
        (at("nothing", 0), event("nothing", "a"), "queue \"nothing\" does not exist"),
        (at("job@audit", expected), event("job", "a"), "queue \"job@audit\" does not exist"),
        (format!("dead:job:0000:17:{ID}"), event("job", "a"), "expected the key of an event"),
        ("topic:bad".to_string(), "{\"partitions\":0}".to_string(), "not a topic"),
        ("schedule:bad".to_string(), "7".to_string(), "not a JSON object"),
        ("member:fleet:x".to_string(), "{}".to_string(), "as its kind has them"),
        (format!("member:fleet:{ID}"), "{".to_string(), "not a JSON object"),
        ("txn:a b".to_string(), "{}".to_string(), "as its kind has them"),
        ("!moved:job:x".to_string(), "{}".to_string(), "the note of a moved event"),
        (
            "log:00000000000000aa:head".to_string(),
            "{\"last\":0}".to_string(),
            "no event store with the number 00000000000000aa",
        ),
        ("log:aa".to_string(), "{}".to_string(), "expected a key of an event store"),
        ("dropped:aa".to_string(), "{}".to_string(), "as its kind has them"),
    ];
    for (key, value, wrong) in cases {
        put(&db, &[(&key, &value)]).await;
        let verified = verify(&db, &options()).await.unwrap();
        let told = told(&verified);
        assert_eq!(told.len(), 1, "{key}: {told:?}");
        assert!(told[0].starts_with(&key) && told[0].contains(wrong), "{}", told[0]);
        assert!(!verified.is_sound());
        delete(&db, key.into_bytes()).await;
    }
    put(&db, &[("!later:kind", "?"), ("mine", "?"), (&at("job@mail", expected), &event("job", "a"))]).await;
    let verified = verify(&db, &options()).await.unwrap();
    assert_eq!((told(&verified).len(), verified.unknown), (0, 1));
}

/// One row of a store is taken away, altered or added at a time.
#[fact]
pub async fn damage_of_event_stores_is_told(db: Database, clock: TestClock) {
    used(&db, &clock).await;
    let (rows, id) = (raw(&db).await, number(&db).await);
    let key = |sequence| String::from_utf8(tito_eventstore::keys::log_event(id, sequence)).unwrap();
    let prefix = format!("log:{id:016x}:");
    assert!(rows.contains_key(&key(16)) && rows.contains_key(&key(40)) && !rows.contains_key(&key(15)));
    for (missing, wrong) in [
        (16, "events from sequence 16 to 16 are missing"),
        (30, "events from sequence 30 to 30 are missing"),
        (40, "events from sequence 40 to 40 are missing"),
    ] {
        let kept = rows[&key(missing)].clone();
        delete(&db, key(missing).into_bytes()).await;
        let found = told(&verify(&db, &options()).await.unwrap());
        assert!(found.iter().any(|told| told.contains(wrong)), "{found:?}");
        assert!(found.iter().any(|told| told.contains("does not exist")), "its entity's and its id: {found:?}");
        put_raw(&db, &key(missing), &kept).await;
    }
    for added in [15, 41] {
        put_raw(&db, &key(added), &rows[&key(30)]).await;
        let found = told(&verify(&db, &options()).await.unwrap());
        assert!(found.iter().any(|told| told.starts_with(&key(added)) && told.contains("from 16 to 40")), "{found:?}");
        delete(&db, key(added).into_bytes()).await;
    }
    let checkpoint = rows.keys().find(|key| key.ends_with(":checkpoint") && key.starts_with(&prefix)).unwrap();
    put(&db, &[(checkpoint, "{\"sequence\":41}")]).await;
    let found = told(&verify(&db, &options()).await.unwrap());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("folded up to sequence 41, the store ends at 40"), "{found:?}");
    put_raw(&db, checkpoint, &rows[checkpoint]).await;

    let view_row = rows.keys().find(|key| key.starts_with(&prefix) && key.contains(":data:")).unwrap();
    delete(&db, view_row.clone().into_bytes()).await;
    let found = told(&verify(&db, &options()).await.unwrap());
    assert_eq!(found.len(), 2, "an entry of each index: {found:?}");
    assert!(found.iter().all(|told| told.contains(view_row.as_str())), "{found:?}");
}

/// A store that says that more was dropped than there ever was.
#[fact]
pub async fn a_tail_past_its_store_is_told_as_damage_of_the_tail_alone(db: Database) {
    append(&store(&db).await, 3).await;
    let id = number(&db).await;
    let tail = String::from_utf8(tito_eventstore::keys::log_tail(id)).unwrap();
    for dropped in [4, u64::MAX - 1, u64::MAX] {
        put(&db, &[(&tail, &format!("{{\"dropped\":{dropped}}}"))]).await;
        let found = told(&verify(&db, &options()).await.unwrap());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&tail) && found[0].contains(&format!("it is {dropped}, and")), "{found:?}");
    }
}

/// Rows are deleted without their entries by whom does not know the index, and entries of one that is deleted go last.
#[fact]
pub async fn entries_of_an_index_that_is_not_built_need_no_rows(db: Database) {
    put(&db, &[("index:user:by_email:gone!", "gone"), ("index:order:by_email:gone!", "gone")]).await;
    for (state, count) in [("built", 2), ("behind", 1), ("building", 1), ("dropping", 1)] {
        let index = format!("{{\"fingerprint\":\"00f1c0ffee00f1c0\",\"state\":\"{state}\"}}");
        put(&db, &[("catalogue:user", &format!("{{\"indexes\":{{\"by_email\":{index}}}}}"))]).await;
        let found = told(&verify(&db, &options()).await.unwrap());
        assert_eq!(found.len(), count, "{state}: {found:?}");
        assert!(found[0].starts_with("index:order:"), "{found:?}");
    }
}

/// By models, what structure alone does not tell.
#[fact]
pub async fn models_find_what_structure_does_not(db: Database) {
    let users = db.model::<User>();
    db.transaction(|tx| async move { users.insert(&user("ada", 36), &tx).await }).await.unwrap();
    delete(&db, b"index:user:age:p0236:ada".to_vec()).await;
    delete(&db, b"index:user:by_age:p0236:ada".to_vec()).await;
    put(&db, &[("data:user:bob", "{\"id\":\"bob\"}")]).await;
    assert!(verify(&db, &options()).await.unwrap().is_sound());
    let complete = verify(&db, &options().model::<User>()).await.unwrap();
    let (table, report) = &complete.models[0];
    assert_eq!((table.as_str(), report.rows, report.damaged_rows, report.missing_entries), ("user", 2, 1, 1));
    assert!(!complete.is_sound() && complete.is_complete());
}
