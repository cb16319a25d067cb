use tito_core::prelude::*;
use tito_eventstore::{EventStore, EventStoreError, NewEvent};
use tito_testkit::TestClock;

use crate::support::*;

/// What an append is told that the last sequence is, if it is refused.
async fn actual(store: &EventStore, event: NewEvent) -> Option<u64> {
    match store.append(event).await {
        Ok(_) => None,
        Err(EventStoreError::SequenceConflict { actual, .. }) => Some(actual),
        Err(error) => panic!("{error:?}"),
    }
}

#[fact]
pub async fn the_last_sequence_of_an_entity_is_compared(db: Database, _: TestClock) {
    let store = store(&db).await;
    let deposit = |sequence| event("account.1", "deposited").expect_sequence(sequence);
    assert_eq!(actual(&store, deposit(1)).await, Some(0));
    assert_eq!(actual(&store, deposit(0)).await, None);
    store.append(event("account.2", "opened")).await.unwrap();
    assert_eq!(actual(&store, deposit(0)).await, Some(1));
    assert_eq!(actual(&store, deposit(2)).await, Some(1), "others don't count");
    assert_eq!(actual(&store, deposit(1)).await, None);
    let error = store.append(deposit(1).id("x")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the last sequence of \"account.1\" is 3, event \"x\" expected 1; nothing was appended"
    );
    assert!(error.is_retryable());
}

#[fact]
pub async fn patterns_are_compared_too(db: Database, _: TestClock) {
    let store = store(&db).await;
    for (entity, event_type) in
        [("a.1", "x"), ("a.2", "y"), ("b.1", "y"), ("b.2", "x"), ("c.3", "z"), ("a.1", "y"), ("b.1", "x")]
    {
        store.append(event(entity, event_type)).await.unwrap();
    }
    for (pattern, last) in [
        ("*", 7),
        ("*.*.*", 7),
        ("a", 6),
        ("b.*", 7),
        ("a.*.x", 1),
        ("a.*.y", 6),
        ("a.*.z", 0),
        ("a.1", 6),
        ("a.1.x", 1),
        ("*.1", 7),
        ("*.2", 4),
        ("*.3", 5),
        ("*.4", 0),
        ("*.*.x", 7),
        ("*.*.z", 5),
        ("*.*.w", 0),
        ("*.1.y", 6),
        ("*.2.y", 2),
        ("d", 0),
        ("d.1.x", 0),
    ] {
        // Any other number tells the last one, whatever the event's own entity.
        let refused = event("e.9", "w").expect_sequence_of(pattern, 99);
        assert_eq!(actual(&store, refused).await, Some(last), "{pattern}");
    }
    assert_eq!(actual(&store, event("e.9", "w").expect_sequence_of("*.*.z", 5)).await, None);
}

#[fact]
pub async fn expectations_are_about_what_was_there_before_the_append(db: Database, _: TestClock) {
    let store = store(&db).await;
    let both = [event("a.1", "x").expect_sequence(0), event("a.1", "y").expect_sequence(0)];
    assert_eq!(store.append(both).await.unwrap(), 2);
    let one_after_another = [event("a.1", "x").expect_sequence(2), event("a.1", "y").expect_sequence(3)];
    assert!(store.append(one_after_another).await.is_err());
}

#[fact]
pub async fn an_event_that_is_there_already_expects_nothing(db: Database, _: TestClock) {
    let store = store(&db).await;
    let opened = event("a.1", "opened").id("once").expect_sequence(0);
    assert_eq!(store.append(opened.clone()).await.unwrap(), 1);
    assert_eq!(store.append(opened).await.unwrap(), 1);
}
