//! Topics whose events are published to their groups alone.

use std::collections::BTreeMap;
use std::time::Duration;

use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Harness, TestClock};
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{GroupStart, QueueError};

use crate::support::*;

/// How many events lie in each queue of the topic, due or not.
async fn pending(db: &Database) -> BTreeMap<String, usize> {
    let mut pending = BTreeMap::new();
    for (key, _) in stored(db, "event:").await {
        *pending.entry(keys::parse_event(&key).unwrap().queue).or_default() += 1;
    }
    pending
}

fn counts(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|(queue, count)| (queue.to_string(), *count)).collect()
}

async fn with_groups(db: &Database, clock: &TestClock, groups: &[&str]) -> TitoQueue {
    let queue = TitoQueue::new(db.clone());
    for group in groups {
        turning(clock, queue.add_group("job", group, GroupStart::Now)).await.unwrap();
    }
    queue
}

async fn set(queue: &TitoQueue, clock: &TestClock, groups_only: bool) {
    turning(clock, queue.set_groups_only("job", groups_only)).await.unwrap();
}

fn assert_no_queue(refused: Result<(), QueueError>) {
    let error = refused.unwrap_err();
    assert!(matches!(&error, QueueError::NoQueue { topic } if topic == "job"), "{error:?}");
}

#[fact]
pub async fn events_go_to_the_groups_alone_and_what_is_left_is_handed_out(db: Database, clock: TestClock) {
    let queue = with_groups(&db, &clock, &["mail", "audit"]).await;
    publish(&db, [job("before"), job("purged").delay(Duration::from_secs(3600))]).await;
    set(&queue, &clock, true).await;
    publish(&db, [job("after"), job("later").delay(Duration::from_secs(60))]).await;
    assert_eq!(pending(&db).await, counts(&[("job", 2), ("job@mail", 4), ("job@audit", 4)]));
    let published_to = async |name: &str| queue.stats(name).await.unwrap().is_published_to;
    assert_eq!([published_to("job").await, published_to("job@mail").await], [false, true]);
    assert!(queue.topics(1, None).await.unwrap()[0].1.groups_only);

    let mut harness = Harness::new(&db, &clock)
        .subscribe("job", |_: TitoEvent| async { Done::Ok(()) })
        .subscribe("job@mail", |_: TitoEvent| async { Done::Ok(()) });
    let handled = harness.drain().await.unwrap();
    let mut entities: Vec<_> = handled.iter().map(|handled| handled.event.entity.as_str()).collect();
    entities.sort();
    assert_eq!(entities, ["after", "before", "before"]);
    assert_eq!(queue.purge("job").await.unwrap(), 1);
    harness.advance(Duration::from_secs(60)).await.unwrap();
    assert_eq!(pending(&db).await, counts(&[("job@audit", 4), ("job@mail", 1)]));

    set(&queue, &clock, false).await;
    publish(&db, [job("again")]).await;
    assert_eq!(pending(&db).await, counts(&[("job", 1), ("job@audit", 5), ("job@mail", 2)]));
    assert!(published_to("job").await);
}

#[fact]
pub async fn an_event_of_the_groups_alone_is_found_changed_and_cancelled(db: Database, clock: TestClock) {
    let queue = with_groups(&db, &clock, &["mail", "audit"]).await;
    set(&queue, &clock, true).await;
    let tx = db.begin().await.unwrap();
    let event = queue.publish(job("a").delay(Duration::from_secs(3600)), &tx).await.unwrap();
    tx.commit().await.unwrap();
    let found: Vec<_> = queue.find(&event).await.unwrap().into_iter().map(|found| found.queue).collect();
    assert_eq!(found, ["job@audit", "job@mail"]);
    turning(&clock, queue.resize_topic("job", 5)).await.unwrap();
    assert_eq!(pending(&db).await, counts(&[("job@mail", 1), ("job@audit", 1)]));
    let cancelled = db.transaction(|tx| {
        let (queue, event) = (queue.clone(), event.clone());
        async move { queue.cancel(&event, &tx).await }
    });
    cancelled.await.unwrap();
    assert_eq!(pending(&db).await, counts(&[]));
}

#[fact]
pub async fn a_topic_is_never_left_without_a_queue(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    assert!(matches!(queue.set_groups_only("job", true).await, Err(QueueError::UnknownTopic { .. })));
    with_one_partition(&db).await;
    assert_no_queue(queue.set_groups_only("job", true).await);
    queue.set_groups_only("job", false).await.unwrap();

    let queue = with_groups(&db, &clock, &["mail", "audit"]).await;
    set(&queue, &clock, true).await;
    set(&queue, &clock, true).await;
    turning(&clock, queue.remove_group("job", "audit")).await.unwrap();
    publish(&db, [job("a")]).await;
    assert_no_queue(queue.remove_group("job", "mail").await);
    assert_eq!(pending(&db).await, counts(&[("job@mail", 1)]));
    set(&queue, &clock, false).await;
    turning(&clock, queue.remove_group("job", "mail")).await.unwrap();
    publish(&db, [job("b")]).await;
    assert_eq!(pending(&db).await, counts(&[("job", 1)]));

    // As a release leaves it that does not know the setting.
    put(&db, keys::topic("job"), r#"{"partitions":1,"revision":90,"groups_only":true}"#).await;
    clock.advance(Duration::from_secs(10));
    publish(&db, [job("c")]).await;
    assert_eq!(pending(&db).await, counts(&[("job", 2)]));
    assert!(queue.stats("job").await.unwrap().is_published_to);
}

/// Whoever has begun to publish to the group alone does not know yet that the topic has its own queue again: the group is
/// taken away when that is over, also where the call that gave the topic its queue died.
#[fact]
pub async fn the_last_group_stays_until_everybody_publishes_elsewhere(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let queue = with_groups(&db, &clock, &["mail"]).await;
    set(&queue, &clock, true).await;
    let late = db.begin().await.unwrap();
    queue.publish(job("late"), &late).await.unwrap();
    {
        let mut dying = std::pin::pin!(queue.set_groups_only("job", false));
        while queue.topics(1, None).await.unwrap()[0].1.groups_only {
            assert!(futures::poll!(&mut dying).is_pending());
        }
    }
    let removing = tokio::spawn({
        let queue = queue.clone();
        async move { queue.remove_group("job", "mail").await }
    });
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(queue.groups("job").await.unwrap().contains_key("mail") && !removing.is_finished());
    late.commit().await.unwrap();
    assert_eq!(
        pending(&db).await,
        counts(&[("job@mail", 1)]),
        "it is there, to be handled before the group is removed"
    );
    turning(&clock, removing).await.unwrap().unwrap();
    publish(&db, [job("again")]).await;
    assert_eq!(pending(&db).await, counts(&[("job", 1)]));
}
