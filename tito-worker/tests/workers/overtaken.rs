//! Workers that are slow, and by whose events others have gone on meanwhile.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tito_core::Transaction;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Harness, TestClock};
use tito_worker::prelude::*;
use tito_worker::{Advance, Order, Outcome, Payload, Subscription, WorkerBuilder};
use tokio::sync::{Semaphore, mpsc};

use crate::strict::{by_entity, log, note};
use crate::support::*;

const HOUR: Duration = Duration::from_secs(3_600);

/// Waits for what workers do by themselves.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

/// The steps that were handled, as they began.
type Steps = Arc<Mutex<Vec<u32>>>;

/// A worker of three steps, which waits at one of them for a permit.
fn stepping(db: &Database, order: Order, steps: &Steps, waits_at: u32, permits: &Arc<Semaphore>) -> WorkerBuilder {
    let (steps, permits) = (steps.clone(), permits.clone());
    let settings = Subscription::default().order(order);
    Worker::builder(TitoQueue::new(db.clone())).subscribe_with("job", settings, move |Payload(step): Payload<u32>| {
        let (steps, permits) = (steps.clone(), permits.clone());
        async move {
            steps.lock().unwrap().push(step);
            if step >= waits_at {
                permits.acquire().await.unwrap().forget();
            }
            Ok::<_, TitoError>(if step == 3 { Outcome::Done } else { Advance::to(&(step + 1))?.into() })
        }
    })
}

#[fact]
pub async fn what_a_slow_worker_has_done_is_not_recorded_of_a_later_step(db: Database, _: TestClock) {
    with_one_partition(&db).await;
    for order in [Order::Relaxed, Order::Strict] {
        let steps = Steps::default();
        let (slow_permits, quick_permits) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        publish(&db, [job("a").payload(&1).unwrap()]).await;
        let slow = Running::start(stepping(&db, order, &steps, 1, &slow_permits));
        until(|| steps.lock().unwrap().len() == 1).await;
        let quick = Running::start(stepping(&db, order, &steps, 3, &quick_permits));
        until(|| steps.lock().unwrap().len() == 4).await;
        slow_permits.add_permits(1);
        // The slow one finds the step that the event is at.
        until(|| steps.lock().unwrap().len() == 5).await;
        assert_eq!(*steps.lock().unwrap(), [1, 1, 2, 3, 3], "{order:?}");
        for permits in [slow_permits, quick_permits] {
            permits.add_permits(10);
        }
        let (slow, quick) = (slow.stop().await, quick.stop().await);
        assert_eq!((slow.done + quick.done, slow.advanced, quick.advanced), (1, 0, 2), "{order:?}");
        assert_eq!(slow.elsewhere + quick.elsewhere, 2, "{order:?}");
        assert!(stored(&db, "event:").await.is_empty());
    }
}

#[fact]
pub async fn what_a_slow_worker_records_of_its_progress_is_not_that_of_a_later_step(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    publish(&db, [job("a").payload(&1).unwrap()]).await;
    let (key, value) = stored(&db, "event:").await.remove(0);
    let handed_out = TitoEvent::decode(&key, &value).unwrap();
    let mut harness = Harness::new(&db, &clock).subscribe("job", move |event: TitoEvent| {
        let (queue, handed_out) = (queue.clone(), handed_out.clone());
        async move {
            if event.payload::<u32>()? == 1 {
                return Ok::<_, TitoError>(Outcome::from(Advance::to(&2)?));
            }
            // In the same second it keeps its key.
            assert_eq!(event.key, handed_out.key);
            assert!(!queue.record_progress(&handed_out, &"stale").await?);
            assert!(queue.record_progress(&event, &"half").await?);
            Ok(Outcome::Done)
        }
    });
    assert_eq!(harness.drain().await.unwrap().len(), 2);
    assert!(stored(&db, "event:").await.is_empty());
}

/// A worker whose handler puts off what it gets first by an hour, once it has a permit, and notes what it commits.
fn putting_off(
    db: &Database,
    batch: usize,
    first: Outcome,
    began: mpsc::UnboundedSender<()>,
    permits: Arc<Semaphore>,
) -> WorkerBuilder {
    let settings = Subscription::default().order(Order::Strict).batch(batch);
    let handler = move |event: TitoEvent, tx: Transaction| {
        let (first, began, permits) = (first.clone(), began.clone(), permits.clone());
        async move {
            let _ = began.send(());
            permits.acquire().await.unwrap().forget();
            note(&tx, &event).await?;
            let is_first = event.action == "1" && event.not_before.is_none();
            Ok::<_, TitoError>(if is_first { first } else { Outcome::Done })
        }
    };
    Worker::builder(TitoQueue::new(db.clone())).subscribe_with("job", settings, handler)
}

#[fact]
pub async fn what_another_worker_has_put_off_is_not_handled_before_its_time(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    for batch in [1, 2] {
        for number in 0..3 {
            let first = match number {
                0 => Advance::to(&2).unwrap().after(HOUR).into(),
                1 => Outcome::RetryAfter(HOUR),
                _ => Outcome::RescheduleTo(at_second(seconds(&clock) + 3_600)),
            };
            let entity = format!("{batch}-{number}");
            publish(&db, [job(&entity).action("1"), job(&entity).action("2")]).await;
            let (begin, mut began) = mpsc::unbounded_channel();
            let permits = Arc::new(Semaphore::new(0));
            let slow = Running::start(putting_off(&db, batch, first.clone(), begin, permits.clone()));
            began.recv().await.unwrap();
            let (begin, _began) = mpsc::unbounded_channel();
            let quick = Running::start(putting_off(&db, 1, first, begin, Arc::new(Semaphore::new(1_000))));
            while !by_entity(log(&db).await).contains_key(&entity) {
                tokio::task::yield_now().await;
            }
            permits.add_permits(1_000);
            slow.stop().await;
            assert_eq!(by_entity(log(&db).await)[&entity], ["1"], "{entity}");
            clock.advance(HOUR);
            while by_entity(log(&db).await)[&entity].len() < 3 {
                clock.advance(Duration::from_millis(100));
                tokio::task::yield_now().await;
            }
            assert_eq!(by_entity(log(&db).await)[&entity], ["1", "1", "2"], "{entity}");
            quick.stop().await;
        }
    }
}
