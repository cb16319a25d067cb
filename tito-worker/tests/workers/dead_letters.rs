//! What can be done with events that failed for good.

use std::time::Duration;

use tito_core::KeyText;
use tito_core::event::{FailedAttempt, TitoEvent, Topic};
use tito_core::prelude::*;
use tito_core::row::UnknownMembers;
use tito_testkit::{Call, FaultEngine, Harness, TestClock, WithFaults};
use tito_worker::DeadLetter;
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{Order, QueueError, Subscription};

use crate::support::*;

/// Gives up an event as workers do: the key tells when, the value when it fell due.
async fn give_up(db: &Database, event: &TitoEvent, error: &str) {
    let mut dead = event.clone();
    dead.failed_attempts = 3;
    dead.not_before = Some(dead.timestamp + 5);
    dead.failures.push(FailedAttempt {
        attempt: 3,
        timestamp: dead.timestamp + 9,
        error: error.to_string(),
        // As an earlier release has stored it.
        fingerprint: None,
        worker: None,
        duration_millis: None,
        unknown: UnknownMembers::default(),
    });
    let key = keys::dead_event("job", keys::parse_event(&event.key).unwrap().partition, dead.timestamp + 9, event.id);
    db.transaction(|tx| async move {
        tx.system_keys().delete(dead.key.clone()).await?;
        tx.system_keys().put(key, dead.encode()?).await
    })
    .await
    .unwrap();
}

/// Publishes one event for each name, and gives it up.
async fn dead(db: &Database, names: &[&str]) {
    publish(db, names.iter().map(job)).await;
    for (_, event) in places(db, "event:job:").await.into_values() {
        give_up(db, &event, &format!("{} failed", event.entity)).await;
    }
}

#[fact]
pub async fn a_redriven_event_comes_before_the_later_ones_of_its_entity(db: Database, clock: TestClock) {
    publish(&db, [job("a").action("first")]).await;
    let (place, event) = places(&db, "event:job:").await.into_values().next().unwrap();
    give_up(&db, &event, "no").await;
    clock.advance(Duration::from_secs(60));
    publish(&db, [job("a").action("second")]).await;
    let queue = TitoQueue::new(db.clone());
    assert!(queue.redrive("job", event.id).await.unwrap());

    let (redriven_place, redriven) = places(&db, "event:job:").await.remove(&event.id).unwrap();
    assert_eq!(redriven_place, place);
    assert_eq!((redriven.failed_attempts, redriven.not_before, redriven.failures.len()), (0, None, 1));
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    let handled = harness.drain().await.unwrap();
    assert_eq!(handled.iter().map(|handled| handled.event.action.as_str()).collect::<Vec<_>>(), ["first", "second"]);
}

#[fact]
pub async fn a_redrive_makes_workers_look_again(db: Database, _: TestClock) {
    dead(&db, &["a", "b"]).await;
    let queue = TitoQueue::new(db.clone());
    let revision = async || Topic::read(&db.begin().await.unwrap(), "job").await.unwrap().revision;
    let before = revision().await;
    assert_eq!(queue.redrive_where("job", |_| false).await.unwrap().events, 0);
    assert_eq!(revision().await, before, "nothing was moved");
    assert_eq!(queue.redrive_all("job").await.unwrap().events, 0, "the clock has not come to where they died");
}

#[fact]
pub async fn dead_letters_are_chosen_by_what_went_wrong(db: Database, clock: TestClock) {
    dead(&db, &["a", "b", "c", "d"]).await;
    clock.advance(Duration::from_secs(60));
    put(&db, "dead:job:0001:0000000005:nonsense", "nonsense").await;
    let queue = TitoQueue::new(db.clone());
    let failed = |event: &TitoEvent, of: &[&str]| of.contains(&event.entity.as_str()) && event.failures.len() == 1;
    let found = queue
        .dead_letters_where("job", 2, None, |letter| {
            letter.event.as_ref().is_some_and(|event| failed(event, &["a", "c", "d"]))
        })
        .await
        .unwrap();
    assert_eq!(found.len(), 2);
    let rest = queue.dead_letters_where("job", 9, Some(&found[1].key), |letter| letter.event.is_some()).await.unwrap();
    let none = queue.dead_letters_where("job", 9, None, |letter| letter.event.is_none()).await.unwrap();
    assert_eq!((rest.len() <= 2, none.len()), (true, 1));

    let revision = Topic::read(&db.begin().await.unwrap(), "job").await.unwrap().revision;
    let redriven = queue.redrive_where("job", |event| failed(event, &["b", "c"])).await.unwrap();
    assert_eq!((redriven.events, redriven.skipped), (2, 1));
    assert!(Topic::read(&db.begin().await.unwrap(), "job").await.unwrap().revision > revision);
    let mut entities: Vec<_> = places(&db, "event:job:").await.into_values().map(|(_, event)| event.entity).collect();
    entities.sort();
    assert_eq!(entities, ["b", "c"]);
}

#[fact]
pub async fn dead_letters_are_purged_by_choice(db: Database, _: TestClock) {
    dead(&db, &["a", "b", "c"]).await;
    put(&db, "dead:job:0001:0000000005:nonsense", "nonsense").await;
    let queue = TitoQueue::new(db.clone());
    let of = |entity: &'static str| {
        move |letter: &DeadLetter| letter.event.as_ref().is_some_and(|event| event.entity == entity)
    };
    assert_eq!(queue.purge_dead_letters_where("job", of("d")).await.unwrap(), 0);
    assert_eq!(queue.purge_dead_letters_where("job", of("b")).await.unwrap(), 1);
    let left = queue.dead_letters("job", 9, None).await.unwrap();
    let mut entities: Vec<_> = left.iter().filter_map(|letter| Some(letter.event.clone()?.entity)).collect();
    entities.sort();
    assert_eq!((entities, left.len()), (vec!["a".to_string(), "c".to_string()], 3));
    let no_event = |letter: &DeadLetter| letter.event.is_none() && letter.given_up_at() == Some(at_second(5));
    assert_eq!(queue.purge_dead_letters_where("job", no_event).await.unwrap(), 1);
    assert_eq!(queue.purge_dead_letters("job").await.unwrap(), 2);
}

#[fact]
pub async fn one_dead_letter_is_redriven_or_purged_by_its_key_whatever_there_is_beside_it(
    db: Database,
    clock: TestClock,
) {
    let names: Vec<_> = (0..450).map(|number| number.to_string()).collect();
    dead(&db, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    put(&db, "dead:job:0001:0000000005:nonsense", "nonsense").await;
    put(&db, "dead:job2:0001:0000000005:nonsense", "nonsense").await;
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    let letters = queue.dead_letters("job", 999, None).await.unwrap();
    assert_eq!(letters.len(), 451);
    let [last, before] = [&letters[450], &letters[449]];
    db.faults().reset_counts();
    assert!(queue.redrive_letter("job", &last.key).await.unwrap());
    assert!(!queue.redrive_letter("job", &last.key).await.unwrap(), "it is one no more");
    assert!(queue.purge_letter("job", &before.key).await.unwrap());
    assert!(!queue.purge_letter("job", &before.key).await.unwrap());
    assert_eq!(db.faults().count(Call::Scan), 0);

    let nonsense = KeyText::from(&b"dead:job:0001:0000000005:nonsense"[..]);
    assert!(!queue.redrive_letter("job", &nonsense).await.unwrap());
    assert!(queue.purge_letter("job", &nonsense).await.unwrap());
    for key in ["dead:job2:0001:0000000005:nonsense", "topic:job", ""] {
        let of_no_such_queue = KeyText::from(key.as_bytes());
        assert!(!queue.redrive_letter("job", &of_no_such_queue).await.unwrap());
        assert!(!queue.purge_letter("job", &of_no_such_queue).await.unwrap());
    }
    assert_eq!((stored(&db, "dead:job:").await.len(), stored(&db, "topic:").await.len()), (448, 1));
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    let handled = harness.drain().await.unwrap();
    assert_eq!((handled.len(), handled[0].event.id), (1, last.event.as_ref().unwrap().id));
}

#[fact]
pub async fn dead_letters_are_shown_as_json(db: Database, clock: TestClock) {
    dead(&db, &["a"]).await;
    put(&db, "dead:job:0009:0000000005:nonsense", "nonsense").await;
    let letters = TitoQueue::new(db.clone()).dead_letters("job", 9, None).await.unwrap();
    let shown = serde_json::to_value(&letters).unwrap();
    let (event, nonsense) = if shown[0]["event"].is_null() { (1, 0) } else { (0, 1) };
    assert_eq!(shown[event]["given_up_at"], seconds(&clock) + 9);
    assert_eq!((&shown[event]["event"]["entity"], &shown[event]["bytes"]), (&"a".into(), &serde_json::Value::Null));
    assert_eq!(shown[event]["event"]["failures"][0]["error"], "a failed");
    assert_eq!(shown[event]["key"], letters[event].key.to_string());
    assert_eq!(
        (&shown[nonsense]["key"], &shown[nonsense]["bytes"]),
        (&"dead:job:0009:0000000005:nonsense".into(), &"nonsense".into())
    );
}

#[fact]
pub async fn dead_letters_are_listed_by_partition(db: Database, _: TestClock) {
    let names: Vec<_> = (0..40).map(|number| number.to_string()).collect();
    dead(&db, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let queue = TitoQueue::new(db.clone());
    let mut listed = 0;
    for partition in 0..16 {
        let letters = queue.dead_letters_of_partition("job", partition, 100, None).await.unwrap();
        for letter in &letters {
            assert_eq!(keys::partition_of(&letter.event.as_ref().unwrap().entity, 16), partition);
        }
        if let [first, rest @ ..] = letters.as_slice() {
            let after = queue.dead_letters_of_partition("job", partition, 100, Some(&first.key)).await.unwrap();
            assert_eq!(after.len(), rest.len());
        }
        listed += letters.len();
    }
    assert_eq!(listed, 40);
}

#[fact]
pub async fn redriven_events_go_to_the_partitions_of_the_present(db: Database, clock: TestClock) {
    let names: Vec<_> = (0..40).map(|number| number.to_string()).collect();
    dead(&db, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let queue = TitoQueue::new(db.clone());
    turning(&clock, queue.resize_topic("job", 31)).await.unwrap();
    clock.advance(Duration::from_secs(60));
    assert_eq!(queue.redrive_all("job").await.unwrap().events, 40);
    for (place, event) in places(&db, "event:job:").await.into_values() {
        assert_eq!(place.partition, keys::partition_of(&event.entity, 31));
    }
}

#[fact]
pub async fn a_redrive_of_an_unknown_group_is_refused(db: Database, _: TestClock) {
    dead(&db, &["a"]).await;
    let (key, value) = stored(&db, "dead:job:").await.remove(0);
    let place = keys::parse_event(&key).unwrap();
    put(&db, keys::dead_event("job@gone", place.partition, 1, place.id), value).await;
    let refused = TitoQueue::new(db.clone()).redrive_all("job@gone").await;
    assert!(matches!(refused, Err(QueueError::UnknownGroup { .. })), "{refused:?}");
    assert_eq!(stored(&db, "dead:job@gone:").await.len(), 1);
}

/// As after an event was redriven once and dead-lettered again, or died before the number of partitions was changed.
#[fact]
pub async fn redriven_events_of_an_entity_keep_their_order_whatever_the_order_in_which_they_died(
    db: Database,
    clock: TestClock,
) {
    let db = FaultEngine::new(db).database();
    with_one_partition(&db).await;
    publish(&db, [job("a").action("first")]).await;
    publish(&db, [job("a").action("second")]).await;
    // More than a transaction moves.
    publish(&db, (0..300).map(job)).await;
    for (_, event) in places(&db, "event:job:").await.into_values() {
        let died_at = if event.action == "first" { 20 } else { 10 };
        let key = keys::dead_event("job", 0, event.timestamp + died_at, event.id);
        db.transaction(|tx| async move {
            tx.system_keys().delete(event.key.clone()).await?;
            tx.system_keys().put(key, event.encode()?).await
        })
        .await
        .unwrap();
    }
    clock.advance(Duration::from_secs(60));
    let queue = TitoQueue::new(db.clone());
    let second_step = db.faults().at(Call::Commit).key_prefix("dead:job:").nth(2).hold();
    let redriving = tokio::spawn(async move { queue.redrive_all("job").await });
    second_step.arrivals(1).await;
    let strict = Subscription::default().order(Order::Strict);
    let mut harness =
        Harness::new(db.without_faults(), &clock).subscribe_with("job", strict, |_: TitoEvent| async { Done::Ok(()) });
    let mut handled = harness.drain().await.unwrap();
    second_step.open();
    assert_eq!(redriving.await.unwrap().unwrap().events, 302);
    handled.extend(harness.drain().await.unwrap());
    let of_a = handled.iter().filter(|one| one.event.entity == "a").map(|one| one.event.action.as_str());
    assert_eq!(of_a.collect::<Vec<_>>(), ["first", "second"]);
    assert_eq!(handled.len(), 302);
}
