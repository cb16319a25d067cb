//! Progress that a handler records for its next attempt.

use std::time::Duration;

use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Harness, TestClock};
use tito_worker::prelude::*;

use crate::support::*;

#[fact]
pub async fn the_next_attempt_reads_the_progress_of_the_last(db: Database, clock: TestClock) {
    publish(&db, [job("import")]).await;
    let queue = TitoQueue::new(db.clone());
    let mut harness = Harness::new(&db, &clock).subscribe("job", move |event: TitoEvent| {
        let queue = queue.clone();
        async move {
            let mut page = event.progress::<u32>()?.unwrap_or(0);
            while page < 7 {
                page += 1;
                assert!(queue.record_progress(&event, &page).await?);
                if page % 3 == 0 {
                    return Err(error("the connection broke"));
                }
            }
            Ok(())
        }
    });
    let mut seen = Vec::new();
    for _ in 0..3 {
        for handled in harness.advance(Duration::from_secs(60)).await.unwrap() {
            seen.push((handled.event.attempt, handled.event.progress::<u32>().unwrap(), handled.outcome.is_ok()));
        }
    }
    assert_eq!(seen, [(0, None, false), (1, Some(3), false), (2, Some(6), true)]);
}

#[fact]
pub async fn a_handler_learns_that_its_event_is_gone(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    publish(&db, [job("a")]).await;
    let handler_queue = queue.clone();
    let mut harness = Harness::new(&db, &clock).subscribe("job", move |event: TitoEvent| {
        let queue = handler_queue.clone();
        async move {
            assert!(queue.record_progress(&event, &"half").await?);
            let reference = event.reference();
            let canceller = queue.clone();
            queue.engine.transaction(|tx| async move { canceller.cancel(&reference, &tx).await }).await?;
            assert!(!queue.record_progress(&event, &"all").await?);
            Done::Ok(())
        }
    });
    let handled = harness.drain().await.unwrap();
    assert_eq!(handled[0].outcome, Ok(Outcome::Done));
    assert_eq!((harness.report().elsewhere, stored(&db, "event:").await.len()), (1, 0));

    let elsewhere = TitoEvent { key: Vec::new(), ..handled[0].event.clone() };
    assert!(!queue.record_progress(&elsewhere, &1).await.unwrap(), "an event that was not read from a database");
}

#[fact]
pub async fn a_handler_whose_attempt_is_over_records_nothing(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    publish(&db, [job("a")]).await;
    let (key, value) = stored(&db, "event:").await.remove(0);
    let handed_out = TitoEvent::decode(&key, &value).unwrap();
    // Where the order is strict the event stays under its key, whatever becomes of its attempts.
    for outcome in [Outcome::RetryAfter(Duration::from_secs(10)), Outcome::RescheduleTo(seconds(&clock) + 1_000)] {
        let strict = Subscription::default().order(Order::Strict);
        let mut harness = Harness::new(&db, &clock).subscribe_with("job", strict, move |_: TitoEvent| {
            let outcome = outcome.clone();
            async move { Ok::<_, TitoError>(outcome) }
        });
        harness.advance(Duration::from_secs(10)).await.unwrap();
        let (same_key, value) = stored(&db, "event:").await.remove(0);
        assert_eq!(same_key, key);
        assert!(!queue.record_progress(&handed_out, &"stale").await.unwrap());
        let current = TitoEvent::decode(&key, &value).unwrap();
        assert!(queue.record_progress(&current, &"current").await.unwrap());
        let (_, value) = stored(&db, "event:").await.remove(0);
        let progress = TitoEvent::decode(&key, &value).unwrap().progress::<String>().unwrap();
        assert_eq!(progress.as_deref(), Some("current"));
    }
}

#[fact]
pub async fn progress_that_has_no_room_is_refused(db: Database, _: TestClock) {
    let queue = TitoQueue::new(db.clone());
    publish(&db, [job("a")]).await;
    let (key, value) = stored(&db, "event:").await.remove(0);
    let event = TitoEvent::decode(&key, &value).unwrap();
    let too_much = "x".repeat(db.limits().value_bytes / 16 * 15);
    let refused = queue.record_progress(&event, &too_much).await.unwrap_err();
    assert!(matches!(refused, TitoError::LimitExceeded { .. }), "{refused:?}");
    assert_eq!(stored(&db, "event:").await, [(key.clone(), value)], "nothing was written");
    put(&db, key, "nonsense").await;
    let refused = queue.record_progress(&event, &1).await.unwrap_err();
    assert!(matches!(refused, TitoError::Malformed { .. }), "{refused:?}");
}
