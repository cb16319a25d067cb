use tito_core::prelude::*;
use tito_eventstore::types::{Binary, Registry};
use tito_eventstore::{EventStoreError, Manager, NewEvent, Select};
use tito_testkit::TestClock;

use crate::support::*;

/// Tokens that no entity, event type or pattern can have, and a part of what is said of them.
fn bad_tokens() -> Vec<(String, String)> {
    let long = "x".repeat(10_000);
    let named = |token: &str| (token.to_string(), format!("{token:?}"));
    let mut bad: Vec<_> =
        ["a b", "a>", ">", "a*b", "tab\t", "line\n", "nul\0", "\u{7f}", "\u{2003}"].into_iter().map(named).collect();
    bad.push((String::new(), "is empty".to_string()));
    bad.push((long.clone(), format!("{:?}", &long[..255])));
    bad
}

#[fact]
pub async fn bad_entities_are_refused_by_name(db: Database, _: TestClock) {
    let store = store(&db).await;
    let starred = ("*".to_string(), "\"*\"".to_string());
    for (token, said) in bad_tokens().into_iter().chain([starred]) {
        for entity in [format!("{token}.1"), format!("account.{token}")] {
            let error = store.append(NewEvent::raw(entity.as_str(), "opened", "data")).await.unwrap_err();
            assert!(matches!(error, EventStoreError::EventEntityInvalid { .. }), "{entity:?}: {error:?}");
            assert!(error.to_string().contains(&said), "{error}");
        }
    }
    for entity in ["account", "account.1.2", "account.1.", ".", "a.b.c.d"] {
        let error = store.append(NewEvent::raw(entity, "opened", "data")).await.unwrap_err();
        assert!(matches!(error, EventStoreError::EventEntityInvalid { .. }), "{entity:?}: {error:?}");
        assert!(error.to_string().contains(entity), "{error}");
    }
    let error = store.append(NewEvent::raw("", "opened", "data")).await.unwrap_err();
    assert!(matches!(error, EventStoreError::EventEntityRequired), "{error:?}");
    let longest = "x".repeat(255);
    store.append(NewEvent::raw(format!("{longest}.{longest}"), longest.clone(), "data")).await.unwrap();
    assert_eq!(sequences(&store, format!("{longest}.{longest}.{longest}")).await, [1]);
}

#[fact]
pub async fn bad_event_types_and_ids_are_refused_by_name(db: Database, _: TestClock) {
    let store = store(&db).await;
    for (token, said) in bad_tokens().into_iter().chain([("a.b".to_string(), "\"a.b\"".to_string())]) {
        let error = store.append(NewEvent::raw("account.1", token.as_str(), "data")).await.unwrap_err();
        match error {
            EventStoreError::EventTypeRequired { .. } => assert!(token.is_empty()),
            EventStoreError::EventTypeInvalid { .. } => assert!(error.to_string().contains(&said), "{error}"),
            error => panic!("{token:?}: {error:?}"),
        }
    }
    for id in [String::new(), "x".repeat(256), "a\nb".to_string()] {
        let error = store.append(event("account.1", "opened").id(id.as_str())).await.unwrap_err();
        assert!(matches!(error, EventStoreError::EventIdInvalid { .. }), "{id:?}: {error:?}");
    }
    assert_eq!(store.last_sequence().await.unwrap(), 0);
}

#[fact]
pub async fn bad_patterns_are_refused_by_name(db: Database, _: TestClock) {
    let store = store(&db).await;
    for (token, said) in bad_tokens() {
        for pattern in [token.clone(), format!("account.{token}"), format!("*.*.{token}")] {
            let read = store.evolve(&mut Seen::default(), Select::filter(pattern.clone())).await.unwrap_err();
            assert!(matches!(read.source, EventStoreError::PatternInvalid { .. }), "{pattern:?}: {read:?}");
            let read = read.source.to_string();
            assert!(read.contains(&said), "{read}");
            let append = store.append(event("a.1", "x").expect_sequence_of(pattern.clone(), 0)).await.unwrap_err();
            assert_eq!(append.to_string(), read);
        }
    }
    let error = store.evolve(&mut Seen::default(), "account").await;
    assert_eq!(error.unwrap(), 0);
    let error = store.evolve(&mut Seen::default(), Select::filter("account.1").or("a.b.c.d")).await.unwrap_err();
    assert!(matches!(error.source, EventStoreError::SubjectTooManyTokens { tokens: 4, .. }), "{error:?}");
    assert!(error.source.to_string().contains("\"a.b.c.d\""));
}

#[fact]
pub async fn an_append_of_nothing_is_refused(db: Database, _: TestClock) {
    let store = store(&db).await;
    assert!(matches!(store.append(Vec::new()).await, Err(EventStoreError::NoEvents)));
}

#[fact]
pub async fn bytes_of_which_there_are_none_are_refused(db: Database, _: TestClock) {
    let plain = store(&db).await;
    for events in [vec![NewEvent::raw("a.1", "x", "")], vec![event("a.1", "x"), NewEvent::raw("a.1", "y", "")]] {
        let error = plain.append(events).await.unwrap_err();
        let EventStoreError::EventDataRequired { entity, .. } = &error else { panic!("{error:?}") };
        assert_eq!(entity, "a.1");
        assert!(!error.is_retryable());
    }
    assert_eq!(plain.last_sequence().await.unwrap(), 0);
    // Where a registry says that nothing is a value, nothing is data.
    let types = Registry::builder().register::<Binary, String>("said", String::new()).build().unwrap();
    let store = Manager::builder(db).types(types).build().get_event_store("bank").await.unwrap();
    assert_eq!(store.append(NewEvent::raw("a.1", "said", "")).await.unwrap(), 1);
}
