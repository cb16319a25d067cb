//! What groups of a topic promise.

use std::time::Duration;

use tito_core::event::{TitoEvent, Topic};
use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, Harness, TestClock, WithFaults};
use tito_worker::GroupStart;
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{Outcome, QueueError, RetryPolicy, Subscription};

use crate::support::*;

fn once() -> Subscription {
    Subscription::default().retry(RetryPolicy::default().attempts(1))
}

async fn add(db: &Database, clock: &TestClock, group: &str, start: GroupStart) {
    turning(clock, TitoQueue::new(db.clone()).add_group("job", group, start)).await.unwrap();
}

/// Moves all pending events of the topic's own queue to where events lie that are done.
async fn do_all(db: &Database) {
    for (id, (place, event)) in places(db, "event:job:").await {
        let done = keys::done_event("job", place.partition, place.seconds + 1, id);
        db.transaction(|tx| async move {
            tx.system_keys().put(done, event.encode()?).await?;
            tx.system_keys().delete(event.key).await
        })
        .await
        .unwrap();
    }
}

async fn give_all_up(db: &Database, clock: &TestClock) {
    let handler = |_: TitoEvent| async { Ok::<_, TitoError>(Outcome::DeadLetter("no".to_string())) };
    Harness::new(db, clock).subscribe("job", handler).drain().await.unwrap();
}

#[fact]
pub async fn every_group_gets_every_event_and_has_its_own_retries_and_dead_letters(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    add(&db, &clock, "mail", GroupStart::Now).await;
    add(&db, &clock, "audit", GroupStart::Now).await;
    assert_eq!(queue.groups("job").await.unwrap().into_keys().collect::<Vec<_>>(), ["audit", "mail"]);
    publish(&db, (0..5).map(job)).await;
    let mut harness = Harness::new(&db, &clock)
        .subscribe("job", |_: TitoEvent| async { Done::Ok(()) })
        .subscribe("job@audit", |_: TitoEvent| async { Done::Ok(()) })
        .subscribe_with("job@mail", once(), |event: TitoEvent| async move {
            assert_eq!(event.event_type, "job");
            if event.entity == "3" { Err(error("no such address")) } else { Ok(()) }
        });
    assert_eq!(harness.drain().await.unwrap().len(), 15);
    assert_eq!((harness.report().done, harness.report().dead), (14, 1));
    assert_eq!(queue.dead_letters("job", 9, None).await.unwrap().len(), 0);
    assert_eq!(queue.dead_letters("job@mail", 9, None).await.unwrap().len(), 1);
    assert_eq!(queue.redrive_all("job@mail").await.unwrap().events, 1);
    let again = harness.drain().await.unwrap();
    assert_eq!((again.len(), again[0].event.entity.as_str()), (1, "3"));
    assert_eq!(queue.purge_dead_letters("job@mail").await.unwrap(), 1);
}

#[fact]
pub async fn a_group_from_now_gets_only_what_comes_after(db: Database, clock: TestClock) {
    publish(&db, [job("before")]).await;
    add(&db, &clock, "late", GroupStart::Now).await;
    publish(&db, [job("after")]).await;
    let mut harness = Harness::new(&db, &clock).subscribe("job@late", |_: TitoEvent| async { Done::Ok(()) });
    let handled = harness.drain().await.unwrap();
    assert_eq!(handled.iter().map(|handled| handled.event.entity.as_str()).collect::<Vec<_>>(), ["after"]);
}

#[fact]
pub async fn a_group_from_history_gets_everything_that_is_kept_once(db: Database, clock: TestClock) {
    publish(&db, (0..250).map(|number| job(format!("done {number}")))).await;
    do_all(&db).await;
    publish(&db, (0..30).map(|number| job(format!("dead {number}")))).await;
    give_all_up(&db, &clock).await;
    publish(&db, (0..250).map(|number| job(format!("pending {number}")).header("h", "1"))).await;
    publish(&db, [job("later").delay(Duration::from_secs(3600))]).await;
    let mut kept = places(&db, "event:job:").await;
    kept.extend(places(&db, "dead:job:").await);
    for (_, value) in stored(&db, "done:job:").await {
        let event = TitoEvent::decode(b"", &value).unwrap();
        let place = keys::parse_event(&keys::event("job", 0, 0, event.id)).unwrap();
        kept.insert(event.id, (place, event));
    }
    assert_eq!(kept.len(), 531);

    add(&db, &clock, "late", GroupStart::History).await;
    publish(&db, [job("after")]).await;
    let copies = places(&db, "event:job@late:").await;
    assert_eq!(copies.len(), 532);
    assert_eq!(stored(&db, "copied:").await.len(), 0, "the marks are gone");
    for (id, (_, event)) in &kept {
        let (place, copy) = &copies[id];
        assert_eq!((&copy.entity, &copy.headers, copy.failed_attempts), (&event.entity, &event.headers, 0));
        assert_eq!(place.partition, keys::partition_of(&event.entity, 16));
        assert!(copy.failures.is_empty());
    }
    // Nothing is copied again by a program that asks for the group whenever it starts.
    add(&db, &clock, "late", GroupStart::History).await;
    let mut harness = Harness::new(&db, &clock).subscribe("job@late", |_: TitoEvent| async { Done::Ok(()) });
    assert_eq!(harness.drain().await.unwrap().len(), 531);
    assert_eq!(harness.advance(Duration::from_secs(3600)).await.unwrap()[0].event.entity, "later");
}

#[fact]
pub async fn a_transaction_that_does_not_know_of_a_group_is_waited_for(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    publish(&db, [job("first")]).await;
    for (group, start, copies) in [("now", GroupStart::Now, 0), ("history", GroupStart::History, 1)] {
        let unaware = db.begin().await.unwrap();
        let late = queue.publish(job("late"), &unaware).await.unwrap();
        let adding = tokio::spawn({
            let queue = queue.clone();
            async move { queue.add_group("job", group, start).await }
        });
        while !queue.groups("job").await.unwrap().contains_key(group) {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(!adding.is_finished(), "an event can still be committed that the group does not get");
        unaware.commit().await.unwrap();
        turning(&clock, adding).await.unwrap().unwrap();
        publish(&db, [job(format!("aware of {group}"))]).await;
        let found = places(&db, &format!("event:job@{group}:")).await;
        assert_eq!(found.contains_key(&late.id), copies == 1);
        assert!(found.values().any(|(_, event)| event.entity == format!("aware of {group}")));
    }
}

#[fact]
pub async fn events_that_move_while_they_are_copied_are_copied_once(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    publish(&db, (0..300).map(|number| job(format!("dead {number}")))).await;
    give_all_up(&db, &clock).await;
    publish(&db, (0..700).map(job)).await;
    let all: Vec<_> = places(&db, "event:").await.into_keys().chain(places(&db, "dead:").await.into_keys()).collect();

    // Between two steps one event is retried, others fail for good, and dead letters go back behind the copier.
    let step = db.faults().at(Call::Commit).key_prefix("copied:").nth(3).hold();
    let adding = tokio::spawn({
        let queue = queue.clone();
        async move { queue.add_group("job", "late", GroupStart::History).await }
    });
    turning(&clock, step.arrivals(1)).await;
    let handler = |event: TitoEvent| async move {
        Ok::<_, TitoError>(match event.entity.len() {
            3 => Outcome::RetryAfter(Duration::from_secs(5)),
            2 => Outcome::DeadLetter("no".to_string()),
            _ => Outcome::RescheduleTo(at_second(event.timestamp + 9)),
        })
    };
    Harness::new(&db, &clock).subscribe("job", handler).drain().await.unwrap();
    queue.redrive_where("job", |event| event.entity.starts_with("dead")).await.unwrap();
    step.open();
    turning(&clock, adding).await.unwrap().unwrap();

    let copies = places(&db, "event:job@late:").await;
    let missing = all.iter().filter(|id| !copies.contains_key(id)).count();
    assert_eq!((copies.len(), missing), (1000, 0));
}

#[fact]
pub async fn an_event_rescheduled_behind_the_copier_is_copied(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    with_one_partition(&db).await;
    publish(&db, (0..450).map(|number| job(number).delay(Duration::from_secs(5_000)))).await;
    let tx = db.begin().await.unwrap();
    let last = queue.publish(job("last").delay(Duration::from_secs(9_000)), &tx).await.unwrap();
    tx.commit().await.unwrap();

    let step = db.faults().at(Call::Commit).key_prefix("copied:").nth(2).hold();
    let adding = tokio::spawn({
        let queue = queue.clone();
        async move { queue.add_group("job", "late", GroupStart::History).await }
    });
    turning(&clock, step.arrivals(1)).await;
    let tx = db.begin().await.unwrap();
    let soon = last.timestamp - 9_000;
    assert!(queue.reschedule(&last, at_second(soon), &tx).await.unwrap().is_some());
    tx.commit().await.unwrap();
    step.open();
    turning(&clock, adding).await.unwrap().unwrap();

    let copies = places(&db, "event:job@late:").await;
    assert_eq!((copies.len(), copies.contains_key(&last.id)), (451, true));
}

#[fact]
pub async fn adding_a_group_can_be_interrupted_anywhere(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 2).await.unwrap();
    publish(&db, (0..120).map(job)).await;
    do_all(&db).await;
    publish(&db, (0..250).map(job)).await;
    for how in [Interruption::Dropped, Interruption::Unknown] {
        for n in 1.. {
            let group = format!("{how:?}{n}");
            let call = queue.add_group("job", &group, GroupStart::History);
            let was_interrupted = interrupted(&db, &clock, (how, n), call).await;
            if n % 2 == 0 {
                turning(&clock, queue.finish_changes()).await.unwrap();
            }
            add(&db, &clock, &group, GroupStart::History).await;
            assert_eq!(places(&db, &format!("event:job@{group}:")).await.len(), 370, "{how:?} at commit {n}");
            assert_eq!(stored(&db, "copied:").await.len(), 0, "{how:?} at commit {n}");
            turning(&clock, queue.remove_group("job", &group)).await.unwrap();
            if !was_interrupted {
                assert!(n > 5, "{n}");
                break;
            }
        }
    }
}

#[fact]
pub async fn a_topic_that_can_not_be_read_keeps_no_other_from_being_finished(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    add(&db, &clock, "mail", GroupStart::Now).await;
    publish(&db, (0..10).map(job)).await;
    for name in ["a", "z"] {
        put(&db, format!("topic:{name}"), "nonsense").await;
    }
    put(&db, "topic:\"", "nonsense").await;
    let removal = queue.remove_group("job", "mail");
    assert!(interrupted(&db, &clock, (Interruption::Dropped, 3), removal).await);
    assert_eq!(stored(&db, "event:job@").await.len(), 10);
    assert_eq!(turning(&clock, queue.finish_changes()).await.unwrap(), 1);
    assert_eq!(stored(&db, "event:job@").await.len(), 0);
    assert_eq!(turning(&clock, queue.finish_changes()).await.unwrap(), 0);
}

#[fact]
pub async fn removing_a_group_can_be_interrupted_anywhere(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    for how in [Interruption::Dropped, Interruption::Unknown] {
        for n in 1.. {
            add(&db, &clock, "mail", GroupStart::Now).await;
            turning(&clock, publish(&db, (0..210).map(job))).await;
            let was_interrupted = interrupted(&db, &clock, (how, n), queue.remove_group("job", "mail")).await;
            match n % 3 {
                0 => turning(&clock, queue.finish_changes()).await.map(|_| ()).unwrap(),
                1 => turning(&clock, queue.remove_group("job", "mail")).await.unwrap(),
                _ => {}
            }
            add(&db, &clock, "mail", GroupStart::Now).await;
            // The second commit says that the group is removed: a process that dies before it has done nothing.
            let is_kept = (how, n) == (Interruption::Dropped, 2);
            let left = places(&db, "event:job@mail:").await.len();
            assert_eq!(left, if is_kept { 210 } else { 0 }, "{how:?} at commit {n}");
            turning(&clock, queue.remove_group("job", "mail")).await.unwrap();
            assert_eq!(stored(&db, "event:job@").await.len(), 0);
            if !was_interrupted {
                assert!(n > 4, "{n}");
                break;
            }
        }
    }
}

#[fact]
pub async fn a_removed_group_leaves_nothing_and_can_be_added_again(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    add(&db, &clock, "mail", GroupStart::Now).await;
    publish(&db, (0..450).map(job)).await;
    let mut harness =
        Harness::new(&db, &clock).subscribe_with("job@mail", once(), |_: TitoEvent| async { Done::Err(error("no")) });
    harness.drain().await.unwrap();
    publish(&db, (0..50).map(job)).await;
    put(&db, keys::low_watermark("job@mail", 3), "{}").await;
    put(&db, keys::lease("job@mail", 3), "{}").await;
    put(&db, keys::done_event("job@mail", 3, 1, uuid::Uuid::nil()), "{}").await;

    turning(&clock, queue.remove_group("job", "mail")).await.unwrap();
    publish(&db, [job("after")]).await;
    let left: Vec<_> = stored(&db, "").await.into_iter().filter(|(key, _)| contains(key, b"@")).collect();
    assert!(left.is_empty(), "{:?}", String::from_utf8_lossy(&left[0].0));
    assert_eq!(stored(&db, "event:job:").await.len(), 501, "the topic's own events stay");
    turning(&clock, queue.remove_group("job", "mail")).await.unwrap();

    add(&db, &clock, "mail", GroupStart::Now).await;
    publish(&db, [job("again")]).await;
    assert_eq!(places(&db, "event:job@mail:").await.len(), 1);
}

fn contains(key: &[u8], part: &[u8]) -> bool {
    key.windows(part.len()).any(|window| window == part)
}

#[fact]
pub async fn names_of_groups_are_checked(db: Database, _: TestClock) {
    let queue = TitoQueue::new(db.clone());
    for name in ["", "a:b", "a@b", "a\n"] {
        let refused = queue.add_group("job", name, GroupStart::Now).await;
        assert!(
            matches!(refused, Err(QueueError::Engine(TitoError::InvalidName { what: "group", .. }))),
            "{name:?}: {refused:?}"
        );
    }
    queue.create_topic("job", 16).await.unwrap();
    let unknown = queue.pause("job@nobody").await.unwrap_err();
    assert_eq!(unknown.to_string(), r#"topic "job" has no group "nobody""#);
    let topic = Topic::ensure(&db, "job", 16).await.unwrap();
    assert!(topic.is_paused("job@nobody"), "nothing is handed out of a group that is not registered");
}
