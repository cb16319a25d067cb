//! How much is kept of what is done, and of dead letters; and dead letters by their errors.

use std::collections::BTreeMap;
use std::time::Duration;

use tito_core::KeyText;
use tito_core::event::{Cause, TitoEvent, Topic};
use tito_core::prelude::*;
use tito_testkit::{Harness, TestClock};
use tito_worker::fingerprint_of;
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{FoundIn, Outcome, PendingState, QueueError, SearchBounds, Swept};
use uuid::Uuid;

use crate::support::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Dead-letters events with these errors, one a second.
async fn fail(db: &Database, clock: &TestClock, errors: impl IntoIterator<Item = String>) {
    let mut harness = Harness::new(db, clock).subscribe("job", |event: TitoEvent| async move {
        Ok::<_, TitoError>(Outcome::DeadLetter(event.payload::<String>().unwrap()))
    });
    for (number, error) in errors.into_iter().enumerate() {
        publish(db, [job(number).payload(&error).unwrap()]).await;
        harness.advance(secs(1)).await.unwrap();
    }
}

#[fact]
pub async fn dead_letters_are_grouped_the_newest_first(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 4).await.unwrap();
    let begin = seconds(&clock);
    fail(
        &db,
        &clock,
        (0..40).map(|number| match number % 4 {
            0 => "refused".to_string(),
            _ => format!("no row {number} in 'table {number}'"),
        }),
    )
    .await;
    put(&db, "dead:job:0001:0000000001:nonsense", "nonsense").await;
    let found = queue.dead_letter_groups("job", SearchBounds::default(), None).await.unwrap();
    let counts =
        |found: &tito_worker::DeadLetterGroups| found.groups.iter().map(|group| group.count).collect::<Vec<_>>();
    assert_eq!((counts(&found), found.searched, found.at_least, found.others), (vec![30, 10, 1], 41, 41, 0));
    assert!(found.after.is_none());
    let worst = &found.groups[0];
    assert_eq!(worst.error.as_deref(), Some("no row 39 in 'table 39'"));
    assert_eq!((worst.newest, worst.oldest), (at_second(begin + 40), at_second(begin + 2)));
    assert_eq!((found.groups[2].fingerprint.as_ref(), found.groups[2].error.as_ref()), (None, None));
    assert!(matches!(
        queue.dead_letter_groups("job@a", SearchBounds::default(), None).await,
        Err(QueueError::UnknownGroup { .. })
    ));

    // Page by page it is the same, and each letter is searched once.
    let (mut after, mut sum, mut newest) = (None::<KeyText>, BTreeMap::<Option<String>, u64>::new(), Vec::new());
    loop {
        let page = queue.dead_letter_groups("job", SearchBounds::default().rows(7), after.as_ref()).await.unwrap();
        assert!(page.searched <= 7 && page.at_least >= page.searched, "{page:?}");
        newest.extend(page.groups.iter().map(|group| group.newest).max());
        for group in page.groups {
            *sum.entry(group.fingerprint).or_default() += group.count;
        }
        after = page.after;
        if after.is_none() {
            break;
        }
    }
    assert!(newest.is_sorted_by(|a, b| a > b), "{newest:?}");
    assert_eq!(sum, found.groups.iter().map(|group| (group.fingerprint.clone(), group.count)).collect());
    // One at least, however little time there is.
    let hasty = queue.dead_letter_groups("job", SearchBounds::default().time(Duration::ZERO), None).await.unwrap();
    assert_eq!((hasty.searched, hasty.at_least > 1, hasty.after.is_some()), (1, true, true));
    // A group is redriven and purged by its letters' fingerprint.
    let fingerprint = worst.fingerprint.clone();
    let purged = queue.purge_dead_letters_where("job", |letter| letter.fingerprint() == fingerprint).await.unwrap();
    assert_eq!(purged, 30);
    let refused = found.groups[1].fingerprint.clone();
    let redriven = queue.redrive_where("job", |event| fingerprint_of(event) == refused).await.unwrap();
    assert_eq!((redriven.events, redriven.skipped), (10, 1));
}

#[fact]
pub async fn letters_of_an_earlier_release_are_grouped_with_those_of_this_one(db: Database, clock: TestClock) {
    fail(&db, &clock, ["no row 17".to_string()]).await;
    let (key, value) = stored(&db, "dead:job:").await.remove(0);
    let mut old = TitoEvent::decode(&key, &value).unwrap();
    old.failures[0].fingerprint = None;
    let place = keys::parse_event(&key).unwrap();
    put(&db, keys::dead_event("job", place.partition, place.seconds, Uuid::from_u128(1)), old.encode().unwrap()).await;
    let found = TitoQueue::new(db.clone()).dead_letter_groups("job", SearchBounds::default(), None).await.unwrap();
    assert_eq!(found.groups.iter().map(|group| group.count).collect::<Vec<_>>(), [2]);
}

#[fact]
pub async fn dead_letters_and_history_are_kept_as_long_and_as_many_as_they_may(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 3).await.unwrap();
    queue.set_history("job", Some(secs(1_000))).await.unwrap();
    fail(&db, &clock, (0..30).map(|number| number.to_string())).await;
    // History as it is written, from the dead letters.
    for (key, value) in stored(&db, "dead:job:").await {
        let place = keys::parse_event(&key).unwrap();
        put(&db, keys::done_event("job", place.partition, place.seconds, place.id), value).await;
    }
    let swept = |done, dead| {
        let mut swept = Swept::default();
        (swept.done, swept.dead) = (done, dead);
        swept
    };
    assert_eq!(queue.sweep_once("job").await.unwrap(), Swept::default(), "off unless it is set");
    let newest = |stored: Vec<(Vec<u8>, Vec<u8>)>| {
        let mut seconds: Vec<_> = stored.iter().map(|(key, _)| keys::parse_event(key).unwrap().seconds).collect();
        seconds.sort_unstable();
        (seconds.len(), seconds.first().copied())
    };
    let now = seconds(&clock);
    queue.set_history_limit("job", Some(20)).await.unwrap();
    queue.set_dead_letter_retention("job", None, Some(8)).await.unwrap();
    clock.advance(secs(6));
    assert_eq!(queue.sweep_once("job").await.unwrap(), swept(10, 22));
    assert_eq!(newest(stored(&db, "done:job:").await), (20, Some(now - 19)));
    assert_eq!(newest(stored(&db, "dead:job:").await), (8, Some(now - 7)));
    assert_eq!(queue.sweep_once("job").await.unwrap(), Swept::default());

    queue.set_dead_letter_retention("job", Some(secs(10)), None).await.unwrap();
    assert_eq!(queue.sweep_once("job").await.unwrap(), swept(0, 3), "six seconds have passed");
    assert_eq!(newest(stored(&db, "dead:job:").await), (5, Some(now - 4)));
    queue.set_dead_letter_retention("job", None, None).await.unwrap();
    clock.advance(secs(10_000));
    assert_eq!(queue.sweep_once("job").await.unwrap(), swept(20, 0), "what is too old goes, whatever its number");
    assert_eq!(stored(&db, "dead:job:").await.len(), 5);
    let (_, topic) = queue.topics(1, None).await.unwrap().remove(0);
    assert_eq!((topic.history_events, topic.dead_letter_seconds, topic.dead_letter_events), (20, 0, 0));
}

#[fact]
pub async fn many_of_one_second_are_counted_too(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    Topic::ensure(&db, "job", 16).await.unwrap();
    fail(&db, &clock, ["no".to_string()]).await;
    let (key, value) = stored(&db, "dead:job:").await.remove(0);
    let place = keys::parse_event(&key).unwrap();
    db.transaction(|tx| {
        let (place, value) = (place.clone(), value.clone());
        async move {
            for number in 1..600 {
                let key = keys::dead_event("job", number % 16, place.seconds, Uuid::from_u128(number.into()));
                tx.system_keys().put(key, value.clone()).await?;
            }
            Ok(())
        }
    })
    .await
    .unwrap();
    queue.set_dead_letter_retention("job", None, Some(250)).await.unwrap();
    clock.advance(secs(10));
    assert_eq!(queue.sweep_once("job").await.unwrap().dead, 350);
    assert_eq!(stored(&db, "dead:job:").await.len(), 250);
}

#[fact]
pub async fn what_an_event_caused_is_found_wherever_it_is(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 3).await.unwrap();
    queue.set_history("follow", Some(secs(1_000))).await.unwrap();
    // Long before, which is passed over.
    publish(&db, (0..700).map(|number| Publish::new("follow", format!("old {number}")).payload(&"old").unwrap())).await;
    clock.advance(secs(100));
    publish(&db, [job("cause")]).await;
    let cause = Cause::event(*places(&db, "event:job:").await.keys().next().unwrap());
    let publishes = move |event: TitoEvent, queue: TitoQueue, tx: tito_core::Transaction| async move {
        assert_eq!(event.entity, "cause");
        for entity in ["dies", "done"] {
            queue.publish(Publish::new("follow", entity), &tx).await?;
        }
        queue.publish(Publish::new("later", "later").delay(secs(50)), &tx).await.map(drop)
    };
    let mut harness =
        Harness::new(&db, &clock).subscribe("job", publishes).subscribe("follow", |event: TitoEvent| async move {
            Ok::<_, TitoError>(match event.entity.as_str() {
                "dies" => Outcome::DeadLetter("no".to_string()),
                "done" => Outcome::Done,
                _ => Outcome::RescheduleTo(at_second(i64::MAX)),
            })
        });
    harness.drain().await.unwrap();
    let expected =
        [("later", FoundIn::Pending(PendingState::Scheduled)), ("dies", FoundIn::Dead), ("done", FoundIn::Done)];
    let whole = queue.caused_by(&cause, SearchBounds::default(), None).await.unwrap();
    let shown = |found: tito_worker::FoundEvent| (found.event.unwrap().entity, found.found_in);
    let expected = expected.map(|(entity, found_in)| (entity.to_string(), found_in));
    assert!(whole.after.is_none());
    assert_eq!(whole.events.into_iter().map(shown).collect::<Vec<_>>(), expected);

    let (mut after, mut found, mut searched) = (None, Vec::new(), 0);
    loop {
        let page = queue.caused_by(&cause, SearchBounds::default().rows(1), after.as_ref()).await.unwrap();
        searched += page.searched;
        found.extend(page.events.into_iter().map(shown));
        after = page.after;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, expected);
    assert_eq!(searched, whole.searched);
    let nothing = queue.caused_by(&Cause::other("order 7"), SearchBounds::default(), None).await.unwrap();
    assert_eq!((nothing.events.len(), nothing.after), (0, None));
    assert!(nothing.searched >= 703, "of a cause without a time all is read");
}

#[fact]
pub async fn what_lies_before_its_cause_is_passed_over(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("follow", 2).await.unwrap();
    publish(&db, (0..1_500).map(|number| Publish::new("follow", number.to_string()))).await;
    // Timestamps can be up to a minute ahead of the present.
    clock.advance(secs(61));
    publish(&db, [job("cause")]).await;
    let cause = Cause::event(*places(&db, "event:job:").await.keys().next().unwrap());
    publish(&db, [Publish::new("follow", "effect").caused_by(cause.clone())]).await;
    let found = queue.caused_by(&cause, SearchBounds::default(), None).await.unwrap();
    assert_eq!((found.events.len(), found.after), (1, None));
    assert!(found.searched <= 2 * 200 + 10, "{}", found.searched);
}
