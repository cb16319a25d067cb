//! Events of which one is there with a key.

use std::time::Duration;

use tito_core::event::{EventReference, TitoEvent, Topic};
use tito_core::prelude::*;
use tito_testkit::{Harness, TestClock};
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{Published, RetryPolicy, Subscription, Unique};

use crate::support::*;

async fn publish_unique(db: &Database, event: Publish, unique: Unique) -> Result<Published, TitoError> {
    let queue = TitoQueue::new(db.clone());
    db.transaction(|tx| async move { queue.publish_unique(event, unique, &tx).await }).await
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[fact]
pub async fn a_key_is_published_once_within_its_window(db: Database, clock: TestClock) {
    let unique = || Unique::key("k").window(secs(60)).keep();
    let Published::New(first) = publish_unique(&db, job("a"), unique()).await.unwrap() else { panic!("not new") };
    let writes = stored(&db, "").await;
    assert_eq!(publish_unique(&db, job("b"), unique()).await.unwrap(), Published::Kept(first.clone()));
    assert_eq!(stored(&db, "").await, writes, "keeping writes nothing");

    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    let handled = harness.advance(secs(59)).await.unwrap();
    assert_eq!((handled.len(), handled[0].event.reference()), (1, first.clone()));
    assert_eq!(publish_unique(&db, job("c"), unique()).await.unwrap(), Published::Kept(first), "done, and still kept");

    clock.advance(secs(1));
    let published = publish_unique(&db, job("d"), unique()).await.unwrap();
    assert!(matches!(&published, Published::New(event) if event.entity == "d"), "{published:?}");
    assert_eq!(harness.drain().await.unwrap().len(), 1);
}

#[fact]
pub async fn of_a_row_of_changes_the_last_one_is_handled_in_every_queue(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    with_group(&db, "audit").await;
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    let mut earlier: Option<EventReference> = None;
    for step in 0..4 {
        // Longer than the window in all, which begins anew each time.
        let event = job(step).delay(secs(10));
        let published = publish_unique(&db, event, Unique::key("k").window(secs(10)).replace()).await.unwrap();
        match (&published, &earlier) {
            (Published::New(_), None) => {}
            (Published::Replaced { earlier, .. }, Some(known)) => assert_eq!(earlier, known),
            _ => panic!("{published:?} after {earlier:?}"),
        }
        earlier = Some(published.event().clone());
        assert_eq!(harness.advance(secs(6)).await.unwrap().len(), 0);
    }
    let handled = harness.advance(secs(4)).await.unwrap();
    assert_eq!((handled.len(), handled[0].event.entity.as_str()), (1, "3"));
    assert_eq!(entities(&db, "event:job@audit:").await, ["3"]);
}

#[fact]
pub async fn a_replacement_follows_what_is_done_and_takes_the_place_of_what_failed(db: Database, clock: TestClock) {
    let unique = || Unique::key("k").window(secs(1_000)).replace();
    let retry = RetryPolicy::default().jitter(0.0).first_delay(secs(30));
    let mut harness = Harness::new(&db, &clock).subscribe_with(
        "job",
        Subscription::default().retry(retry),
        |event: TitoEvent| async move { if event.entity == "fails" { Err(error("no")) } else { Ok(()) } },
    );
    publish_unique(&db, job("done"), unique()).await.unwrap();
    assert_eq!(harness.drain().await.unwrap().len(), 1);
    let published = publish_unique(&db, job("fails"), unique()).await.unwrap();
    assert!(matches!(published, Published::New(_)), "the earlier one is done");

    assert_eq!(harness.drain().await.unwrap().len(), 1);
    assert_eq!(entities(&db, "event:").await, ["fails"], "to be tried again at a later place");
    let replaced = publish_unique(&db, job("fine"), unique()).await.unwrap();
    assert!(matches!(&replaced, Published::Replaced { earlier, .. } if earlier == published.event()), "{replaced:?}");
    let handled = harness.advance(secs(1_000)).await.unwrap();
    assert_eq!(handled.iter().map(|handled| handled.event.entity.as_str()).collect::<Vec<_>>(), ["fine"]);
}

#[fact]
pub async fn a_replacement_disturbs_workers_only_where_it_would_wait_for_long(db: Database, clock: TestClock) {
    let revision = async || Topic::read(&db.begin().await.unwrap(), "job").await.unwrap().revision;
    for (waits, raised) in [(10, 0), (11, 1)] {
        publish_unique(&db, job("a"), Unique::key("k").replace()).await.unwrap();
        let (key, value) = stored(&db, "event:job:").await.remove(0);
        let not_before = Some(seconds(&clock) + waits);
        let postponed = TitoEvent { failed_attempts: 1, not_before, ..TitoEvent::decode(&key, &value).unwrap() };
        put(&db, key, postponed.encode().unwrap()).await;
        let before = revision().await;
        let published = publish_unique(&db, job("a"), Unique::key("k").replace()).await.unwrap();
        assert!(matches!(published, Published::Replaced { .. }), "{published:?}");
        assert_eq!(revision().await, before + raised);
    }
}

#[fact]
pub async fn one_transaction_can_replace_what_it_has_published(db: Database, _: TestClock) {
    let queue = TitoQueue::new(db.clone());
    with_group(&db, "audit").await;
    db.transaction(|tx| async move {
        for step in 0..3 {
            queue.publish_unique(job(step), Unique::key("k").replace(), &tx).await?;
        }
        queue.publish_unique(job("late"), Unique::key("k").keep(), &tx).await
    })
    .await
    .unwrap();
    assert_eq!(entities(&db, "event:").await, ["2", "2"]);
}

#[fact]
pub async fn two_tasks_that_debounce_one_key_leave_one_event(db: Database, _: TestClock) {
    with_one_partition(&db).await;
    let task = |name: &'static str| {
        let db = db.clone();
        tokio::spawn(async move {
            let mut last = None;
            for step in 0..15 {
                let event = job(format!("{name}{step}")).delay(secs(60));
                last = Some(publish_unique(&db, event, Unique::key("k").replace()).await.unwrap());
            }
            last.unwrap().event().clone()
        })
    };
    let (first, second) = (task("a"), task("b"));
    let last = [first.await.unwrap(), second.await.unwrap()];
    let left = stored(&db, "event:").await;
    let left: Vec<_> = left.iter().map(|(key, value)| TitoEvent::decode(key, value).unwrap().reference()).collect();
    assert_eq!(left.len(), 1);
    assert!(last.contains(&left[0]), "{left:?} of {last:?}");
}

#[fact]
pub async fn keys_of_any_text_are_keys_of_their_own(db: Database, _: TestClock) {
    let names = ["", "a", "a:b", "a b", "a!", "a\"20b", "a;0b", "\u{0}", "🎈", "dedup:job:a"];
    for topic in ["job", "job 2"] {
        for name in names {
            let published = publish_unique(&db, Publish::new(topic, "e"), Unique::key(name)).await.unwrap();
            assert!(matches!(published, Published::New(_)), "{topic} {name:?}");
            let published = publish_unique(&db, Publish::new(topic, "e"), Unique::key(name)).await.unwrap();
            assert!(matches!(published, Published::Kept(_)), "{topic} {name:?}");
        }
    }
    assert_eq!(stored(&db, "dedup:job:").await.len(), names.len());
    let too_long = publish_unique(&db, job("e"), Unique::key("k".repeat(5_000))).await.unwrap_err();
    assert!(matches!(too_long, TitoError::LimitExceeded { .. }), "{too_long:?}");
}

#[fact]
pub async fn a_window_out_of_its_bounds_is_refused(db: Database, _: TestClock) {
    let ten_years = secs(10 * 365 * 24 * 3_600);
    for (window, said) in [
        (Duration::ZERO, "0ns"),
        (ten_years + Duration::from_nanos(1), "315360000.000000001s"),
        (Duration::MAX, "18446744073709551615.999999999s"),
    ] {
        let refused = publish_unique(&db, job("a"), Unique::key("k").window(window)).await.unwrap_err();
        assert!(matches!(&refused, TitoError::OutOfRange { .. }), "{refused:?}");
        let expected = format!(
            "the window of a unique event of {said} can't be used: \
             expected more than 0ns and at most 315360000s (key dedup:job:k)"
        );
        assert_eq!(refused.to_string(), expected);
    }
    for (name, window) in [("short", Duration::from_nanos(1)), ("long", ten_years)] {
        publish_unique(&db, job("a"), Unique::key(name).window(window)).await.unwrap();
    }
    assert_eq!(stored(&db, "dedup:").await.len(), 2);
}

#[fact]
pub async fn what_is_no_unique_event_is_an_error_that_names_its_key(db: Database, _: TestClock) {
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 16).await.unwrap();
    for value in ["", "{}", "nonsense", r#"{"event":{},"until":1}"#, r#"{"event":null,"until":"soon"}"#] {
        put(&db, keys::unique_event("job", "k"), value).await;
        let tx = db.begin().await.unwrap();
        let errors = [
            publish_unique(&db, job("a"), Unique::key("k")).await.unwrap_err(),
            publish_unique(&db, job("a"), Unique::key("k").replace()).await.unwrap_err(),
            queue.cancel_unique("job", "k", &tx).await.unwrap_err(),
            queue.reschedule_unique("job", "k", at_second(1), &tx).await.unwrap_err(),
        ];
        tx.rollback().await;
        for error in errors {
            assert!(matches!(error, TitoError::Malformed { .. }), "{error:?}");
            assert!(error.to_string().contains("dedup:job:k"), "{error}");
        }
    }
    assert_eq!(stored(&db, "event:").await.len(), 0);
}
