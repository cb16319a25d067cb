//! Events that are published to the outbox by rules.

use std::collections::BTreeMap;

use tito_core::event::TitoEvent;
use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_eventstore::types::Codec;
use tito_eventstore::{EventStore, EventStoreConfig, EventStoreError, Manager, NewEvent, Republish};
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};

use crate::support::*;

/// What was published to a topic, in its order.
async fn published(db: &Database, topic: &str) -> Vec<TitoEvent> {
    let tx = db.begin().await.unwrap();
    let rows = tx.scan(KeyRange::prefix(format!("event:{topic}:")), 100_000).await.unwrap();
    tx.rollback().await;
    let mut events: Vec<_> = rows.iter().map(|(key, row)| TitoEvent::decode(key, row).unwrap()).collect();
    events.sort_by_key(|event| event.id);
    events
}

/// The sequences of what was published with headers.
async fn told(db: &Database, topic: &str) -> Vec<u64> {
    let events = published(db, topic).await;
    events.iter().map(|event| event.headers["tito-sequence"].parse().unwrap()).collect()
}

fn config() -> EventStoreConfig {
    EventStoreConfig::new("bank")
}

/// All events as headers, from the first on.
fn audit() -> Republish {
    Republish::to("audit").headers_only().after(0)
}

async fn append(store: &EventStore, count: usize) {
    store.append((0..count).map(|number| event(&format!("a.{}", number % 3), "x")).collect::<Vec<_>>()).await.unwrap();
}

#[fact]
pub async fn events_are_published_by_the_rules_that_select_them(db: Database, _: TestClock) {
    let accounts = Republish::to("{type}-{event}").filter("account").or("*.*.closed").entity("{id} of {type}");
    let manager = Manager::new(db.clone());
    let store = manager.create_event_store(config().republish_by(accounts).republish_by(audit())).await.unwrap();
    let events = ["account.1.opened", "card.7.closed", "card.7.used", "account.2.opened"];
    let events =
        events.map(|subject| subject.rsplit_once('.').unwrap()).map(|(entity, of_type)| event(entity, of_type));
    store.append(events).await.unwrap();
    let shown = async |topic: &str| -> Vec<(String, String)> {
        published(&db, topic).await.into_iter().map(|event| (event.entity, event.action)).collect()
    };
    let pair = |entity: &str, action: &str| (entity.to_string(), action.to_string());
    let opened = [pair("1 of account", "opened"), pair("2 of account", "opened")];
    assert_eq!(shown("account-opened").await, opened);
    assert_eq!(shown("card-closed").await, [pair("7 of card", "closed")]);
    assert!(shown("card-used").await.is_empty());
    let all = ["account.1", "card.7", "card.7", "account.2"];
    assert_eq!(shown("audit").await.into_iter().map(|(entity, _)| entity).collect::<Vec<_>>(), all);
    let refused = store.append([event("card.9", "closed"), event("a.1", "x").expect_sequence(7)]).await;
    refused.unwrap_err();
    assert_eq!((shown("card-closed").await.len(), shown("audit").await.len()), (1, 4), "or not at all");
}

#[fact]
pub async fn what_topics_can_not_have_is_replaced(db: Database, _: TestClock) {
    let rule = Republish::to("{type}/{id}").headers_only();
    let store = Manager::new(db.clone()).create_event_store(config().republish_by(rule)).await.unwrap();
    store.append(event("a:b.c@d", "x")).await.unwrap();
    assert_eq!(published(&db, "a-b/c-d").await[0].entity, "a:b.c@d");
}

#[fact]
pub async fn published_events_have_headers_and_data_as_the_rule_says(db: Database, _: TestClock) {
    let rules = config()
        .republish("everything")
        .republish_by(Republish::to("same"))
        .republish_by(Republish::to("data").data_with_headers())
        .republish_by(Republish::to("headers").headers_only());
    let store = Manager::new(db.clone()).create_event_store(rules).await.unwrap();
    let time = chrono::DateTime::from_timestamp_micros(1_700_000_000_000_001).unwrap();
    let json = NewEvent::encoded("a.1", "paid", 2, Codec::Json, r#"{"cents": 5}"#);
    store.append(json.id("first").time(time).metadata("asked_by", "ada").metadata("tito-id", "forged")).await.unwrap();
    store.append(NewEvent::raw("a.1", "seen", "bytes")).await.unwrap();

    let (everything, same) = (published(&db, "everything").await, published(&db, "same").await);
    let texts = |events: &[TitoEvent]| -> Vec<String> {
        events.iter().map(|event| event.payload.as_ref().unwrap().get().to_string()).collect()
    };
    assert_eq!(texts(&everything), texts(&same));
    assert!(texts(&same)[0].contains(r#""data":{"cents": 5}"#) && same[0].headers.is_empty());
    let (data, headers) = (published(&db, "data").await, published(&db, "headers").await);
    assert_eq!(data[0].payload.as_ref().unwrap().get(), r#"{"cents": 5}"#);
    assert!(data[1].payload.is_none(), "bytes are no JSON");
    assert!(headers.iter().all(|event| event.payload.is_none()));
    let expected = [
        ("asked_by", "ada"),
        ("tito-event-version", "2"),
        ("tito-id", "first"),
        ("tito-sequence", "1"),
        ("tito-store", "bank"),
        ("tito-subject", "a.1.paid"),
        ("tito-time", "2023-11-14T22:13:20.000001Z"),
    ];
    let expected: BTreeMap<String, String> =
        expected.into_iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    assert_eq!((&data[0].headers, &headers[0].headers), (&expected, &expected));
}

#[fact]
pub async fn a_rule_begins_where_it_says(db: Database, _: TestClock) {
    let manager = Manager::new(db.clone());
    let store = manager.create_event_store(config()).await.unwrap();
    append(&store, 350).await;
    let rule = |after| Republish::to(format!("after-{after}")).headers_only().after(after);
    let now = Republish::to("now").headers_only();
    let rules = config().republish_by(rule(0)).republish_by(rule(200)).republish_by(rule(360)).republish_by(now);
    manager.update_event_store(rules.clone()).await.unwrap();
    append(&store, 20).await;
    assert_eq!(told(&db, "after-0").await, (1..=370).collect::<Vec<_>>());
    assert_eq!(told(&db, "after-200").await, (201..=370).collect::<Vec<_>>());
    assert_eq!(told(&db, "after-360").await, (361..=370).collect::<Vec<_>>());
    assert_eq!(told(&db, "now").await, (351..=370).collect::<Vec<_>>());

    // Given again a rule goes on; one that is not given any more ends.
    manager.update_event_store(config().description("the same").republish_by(rule(200))).await.unwrap();
    append(&store, 5).await;
    assert_eq!(told(&db, "after-200").await, (201..=375).collect::<Vec<_>>());
    assert_eq!((told(&db, "after-0").await.len(), told(&db, "now").await.len()), (370, 20));
    let info = store.info().await.unwrap();
    let [only] = &info.republishing[..] else { panic!("{info:?}") };
    assert_eq!((&only.rule, only.catching_up_from), (&rule(200), None));
}

/// However it is interrupted, what was appended before a rule is published once and in order, before what comes later.
#[fact]
pub async fn catching_up_is_finished_whatever_interrupts_it(db: Database, _: TestClock) {
    for number in 1.. {
        let db = FaultEngine::new(db.clone()).database();
        let manager = Manager::new(db.clone());
        let store = manager.create_event_store(config()).await.unwrap();
        append(&store, 250).await;
        let fault = db.faults().at(Call::Commit).nth(number);
        if number % 2 == 0 {
            fault.storage_error()
        } else {
            fault.unknown_without_effect()
        }
        let topic = format!("audit-{number}");
        let rule = Republish::to(topic.clone()).headers_only().after(0);
        let outcome = manager.update_event_store(config().republish_by(rule)).await;
        let is_registered = !store.info().await.unwrap().republishing.is_empty();
        append(&store, 3).await;
        manager.sweep().await.unwrap();
        append(&store, 3).await;
        if is_registered {
            assert_eq!(told(&db, &topic).await, (1..=256).collect::<Vec<_>>(), "interrupted at commit {number}");
        }
        let is_past = outcome.is_ok();
        manager.delete_event_store("bank").await.unwrap();
        manager.sweep().await.unwrap();
        if is_past {
            return;
        }
    }
}

#[fact]
pub async fn appends_go_on_while_a_rule_catches_up(db: Database, _: TestClock) {
    let manager = Manager::new(db.clone());
    let store = manager.create_event_store(config()).await.unwrap();
    append(&store, 300).await;
    let writing = async {
        for _ in 0..30 {
            append(&store, 7).await;
        }
    };
    let (_, updated) = futures::join!(writing, manager.update_event_store(config().republish_by(audit())));
    updated.unwrap();
    append(&store, 1).await;
    assert_eq!(told(&db, "audit").await, (1..=511).collect::<Vec<_>>());
}

#[fact]
pub async fn rules_that_can_not_be_followed_are_refused(db: Database, _: TestClock) {
    let manager = Manager::new(db);
    for topic in ["{types}", "{", "x{id", "{}"] {
        let error = manager.create_event_store(config().republish_by(Republish::to(topic))).await.unwrap_err();
        assert!(matches!(&error, EventStoreError::OptionNotHonoured { reason, .. } if !reason.is_empty()), "{error:?}");
    }
    let entity = Republish::to("x").entity("{entity}");
    let error = manager.create_event_store(config().republish_by(entity)).await.unwrap_err();
    assert!(matches!(error, EventStoreError::OptionNotHonoured { .. }), "{error:?}");
    for topic in ["", "a\nb"] {
        let error = manager.create_event_store(config().republish_by(Republish::to(topic))).await.unwrap_err();
        assert!(matches!(error, EventStoreError::Engine(_)), "{error:?}");
    }
    let error = manager.create_event_store(config().republish_by(Republish::to("x").filter("a.b.c.d"))).await;
    assert!(matches!(error.unwrap_err(), EventStoreError::SubjectTooManyTokens { .. }));
    assert!(matches!(manager.get_event_store("bank").await, Err(EventStoreError::StoreNotFound { .. })));
}

/// JSON that can be appended, and is nested too deep once it is within what is published.
fn too_deep(entity: &str) -> NewEvent {
    NewEvent::encoded(entity, "nested", 1, Codec::Json, format!("{}{}", "[".repeat(127), "]".repeat(127)))
}

#[fact]
pub async fn an_event_that_can_not_be_republished_refuses_its_own_append_alone(db: Database, _: TestClock) {
    let rules = config().republish("all").republish_by(Republish::to("{type}-{id}").filter("b").headers_only());
    let store = Manager::new(db.clone()).create_event_store(rules).await.unwrap();
    let long = event(&format!("b.{}", "x".repeat(255)), "x");
    // They share a transaction.
    let (first, deep, second, long, third) = futures::join!(
        store.append(event("a.1", "x")),
        store.append(too_deep("a.1")),
        store.append(event("a.2", "x")),
        store.append(long),
        store.append([event("a.1", "x"), event("b.1", "x")]),
    );
    assert_eq!([first.unwrap(), second.unwrap(), third.unwrap()], [1, 2, 4]);
    assert!(matches!(deep, Err(EventStoreError::Engine(TitoError::Unserializable { .. }))), "{deep:?}");
    assert!(matches!(long, Err(EventStoreError::Engine(TitoError::InvalidName { .. }))), "{long:?}");
    assert_eq!((published(&db, "all").await.len(), published(&db, "b-1").await.len()), (4, 1));
}

#[fact]
pub async fn a_rule_catches_up_over_events_however_large(db: Database, _: TestClock) {
    let manager = Manager::new(db.clone());
    let store = manager.create_event_store(config()).await.unwrap();
    let data = format!("\"{}\"", "x".repeat(400_000));
    for _ in 0..5 {
        let some = (0..20).map(|_| NewEvent::encoded("a.1", "x", 1, Codec::Json, data.clone()));
        store.append(some.collect::<Vec<_>>()).await.unwrap();
    }
    let rules = config().republish_by(Republish::to("data").data_with_headers().after(0)).republish_by(audit());
    manager.update_event_store(rules).await.unwrap();
    let info = store.info().await.unwrap();
    assert!(info.republishing.iter().all(|rule| rule.catching_up_from.is_none()), "{info:?}");
    for topic in ["data", "audit"] {
        assert_eq!(told(&db, topic).await, (1..=100).collect::<Vec<_>>());
    }
}

#[fact]
pub async fn a_rule_that_can_not_go_on_says_why_and_is_in_no_others_way(db: Database, _: TestClock) {
    let manager = Manager::new(db.clone());
    let store = manager.create_event_store(config()).await.unwrap();
    append(&store, 30).await;
    store.append(too_deep("deep.1")).await.unwrap();
    append(&store, 30).await;
    let whole = Republish::to("whole").after(0);
    let rules = config().republish_by(whole.clone()).republish_by(audit());
    let error = manager.update_event_store(rules.clone()).await.unwrap_err();
    assert!(matches!(&error, EventStoreError::Engine(TitoError::Unserializable { .. })), "{error:?}");
    let shown = async || {
        let info = store.info().await.unwrap();
        info.republishing.into_iter().map(|rule| (rule.catching_up_from, rule.failure)).collect::<Vec<_>>()
    };
    assert_eq!(shown().await, [(Some(30), Some(error.to_string())), (None, None)]);
    assert_eq!((published(&db, "whole").await.len(), told(&db, "audit").await.len()), (30, 61));
    // The same rules again change nothing of it, nor does what the manager does by itself.
    manager.update_event_store(rules).await.unwrap_err();
    manager.sweep().await.unwrap_err();
    append(&store, 1).await;
    assert_eq!((published(&db, "whole").await.len(), told(&db, "audit").await.len()), (30, 62));
    store.erase("deep.1").await.unwrap();
    manager.sweep().await.unwrap();
    assert_eq!(shown().await, [(None, None), (None, None)]);
    append(&store, 1).await;
    assert_eq!((published(&db, "whole").await.len(), told(&db, "audit").await.len()), (62, 63));
}
