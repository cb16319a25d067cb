//! Unique events, cancelling and rescheduling at random, beside a simple model of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tito_core::Transaction;
use tito_core::event::{EventReference, TitoEvent};
use tito_core::prelude::*;
use tito_testkit::{Harness, TestClock};
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{Published, RetryPolicy, Subscription, Unique};
use uuid::Uuid;

use crate::support::*;

/// The group that nobody works for.
const QUEUES: [&str; 2] = ["job", "job@audit"];
const KEYS: [&str; 2] = ["a", "a:b"];

/// What has to be the case.
#[derive(Default)]
struct Model {
    now: i64,
    /// By queue: when an event is due and how often it has failed.
    pending: [BTreeMap<Uuid, (i64, u32)>; 2],
    /// By key: the event and the end of its window.
    unique: BTreeMap<&'static str, (EventReference, i64)>,
    /// Every reference that was ever handed out.
    references: Vec<EventReference>,
}

impl Model {
    fn cancel(&mut self, id: Uuid) -> bool {
        let removed = self.pending.each_mut().map(|queue| queue.remove(&id).is_some());
        removed.contains(&true)
    }

    fn reschedule(&mut self, event: &EventReference, seconds: i64) -> Option<EventReference> {
        let timestamp = seconds.max(self.now);
        let mut moved = None;
        for queue in &mut self.pending {
            if let Some((due, _)) = queue.get_mut(&event.id) {
                *due = timestamp;
                moved = Some(EventReference { timestamp, ..event.clone() });
            }
        }
        self.references.extend(moved.clone());
        moved
    }

    fn in_force(&self, key: &str) -> Option<EventReference> {
        self.unique.get(key).filter(|(_, until)| self.now < *until).map(|(event, _)| event.clone())
    }

    fn published(&mut self, event: &EventReference) {
        for queue in &mut self.pending {
            queue.insert(event.id, (event.timestamp, 0));
        }
        self.references.push(event.clone());
    }

    /// What a worker hands out: every third entity fails once.
    fn handle(&mut self) -> BTreeSet<Uuid> {
        let now = self.now;
        let due: BTreeSet<Uuid> =
            self.pending[0].iter().filter(|(_, (due, _))| *due <= now).map(|(&id, _)| id).collect();
        for id in &due {
            let (_, attempt) = self.pending[0][id];
            let entity = &self.references.iter().find(|event| event.id == *id).unwrap().entity;
            if attempt == 0 && fails(entity) {
                self.pending[0].insert(*id, (now + 2, 1));
            } else {
                self.pending[0].remove(id);
            }
        }
        due
    }
}

fn fails(entity: &str) -> bool {
    entity.parse::<u32>().unwrap() % 3 == 0
}

#[fact]
pub async fn changes_at_random_come_to_what_a_model_of_them_says(db: Database, clock: TestClock) {
    let mut random = fastrand::Rng::with_seed(tito_testkit::seed());
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 3).await.unwrap();
    with_group(&db, "audit").await;
    let retry = RetryPolicy::default().jitter(0.0).first_delay(Duration::from_secs(2));
    let mut harness = Harness::new(&db, &clock).subscribe_with(
        "job",
        Subscription::default().retry(retry),
        |event: TitoEvent| async move {
            if event.failed_attempts == 0 && fails(&event.entity) { Err(error("no")) } else { Ok(()) }
        },
    );
    let mut model = Model { now: seconds(&clock), ..Model::default() };
    for step in 0..250_u32 {
        let key = KEYS[random.usize(..KEYS.len())];
        let (delay, window) = (random.u64(0..6), random.u64(1..9));
        let at = model.now + random.i64(-3..8);
        let some_event = (!model.references.is_empty()).then(|| {
            // Lately published ones mostly, of which more are pending.
            let back = random.usize(..model.references.len()).min(random.usize(..12));
            model.references[model.references.len() - 1 - back].clone()
        });
        match (random.u32(..12), some_event) {
            (0..4, _) => {
                let replaces = random.bool();
                let event = job(step).delay(Duration::from_secs(delay));
                let unique = Unique::key(key).window(Duration::from_secs(window));
                let unique = if replaces { unique.replace() } else { unique.keep() };
                let (queue, earlier) = (queue.clone(), model.in_force(key));
                let publish = |tx: Transaction| async move { queue.publish_unique(event, unique, &tx).await };
                let published = db.transaction(publish).await.unwrap();
                if let (false, Some(earlier)) = (replaces, &earlier) {
                    assert_eq!(published, Published::Kept(earlier.clone()), "step {step}");
                    continue;
                }
                let event = published.event().clone();
                let replaced = earlier.filter(|earlier| model.cancel(earlier.id));
                match replaced {
                    Some(earlier) => {
                        assert_eq!(published, Published::Replaced { event: event.clone(), earlier }, "step {step}");
                    }
                    None => assert_eq!(published, Published::New(event.clone()), "step {step}"),
                }
                model.published(&event);
                model.unique.insert(key, (event, model.now + window as i64));
            }
            (4, Some(event)) => {
                let (queue, reference) = (queue.clone(), event.clone());
                let cancel = |tx: Transaction| async move { queue.cancel(&reference, &tx).await };
                let is_cancelled = db.transaction(cancel).await.unwrap();
                assert_eq!(is_cancelled, model.cancel(event.id), "step {step}");
            }
            (5 | 6, Some(event)) => {
                let (queue, reference) = (queue.clone(), event.clone());
                let reschedule =
                    |tx: Transaction| async move { queue.reschedule(&reference, at_second(at), &tx).await };
                let moved = db.transaction(reschedule).await.unwrap();
                assert_eq!(moved, model.reschedule(&event, at), "step {step}");
            }
            (7, _) => {
                let queue = queue.clone();
                let cancel = |tx: Transaction| async move { queue.cancel_unique("job", key, &tx).await };
                let is_cancelled = db.transaction(cancel).await.unwrap();
                let expected = model.in_force(key).is_some_and(|event| model.cancel(event.id));
                assert_eq!(is_cancelled, expected, "step {step}");
                if is_cancelled {
                    model.unique.remove(key);
                }
            }
            (8, _) => {
                let queue = queue.clone();
                let change =
                    |tx: Transaction| async move { queue.reschedule_unique("job", key, at_second(at), &tx).await };
                let moved = db.transaction(change).await.unwrap();
                let expected = model.in_force(key).and_then(|event| model.reschedule(&event, at));
                assert_eq!(moved, expected, "step {step}");
                if let (Some(moved), Some((event, _))) = (moved, model.unique.get_mut(key)) {
                    *event = moved;
                }
            }
            (9, _) => {
                queue.sweep_once("job").await.unwrap();
            }
            _ => {
                let ahead = random.u64(0..3);
                model.now += ahead as i64;
                let handled = harness.advance(Duration::from_secs(ahead)).await.unwrap();
                let handled: BTreeSet<Uuid> = handled.iter().map(|handled| handled.event.id).collect();
                assert_eq!(handled, model.handle(), "step {step}");
            }
        }
        for (name, pending) in QUEUES.iter().zip(&model.pending) {
            let mut found = BTreeMap::new();
            for (key, value) in stored(&db, &format!("event:{name}:")).await {
                let event = TitoEvent::decode(&key, &value).unwrap();
                let due = keys::parse_event_second(&key).unwrap();
                assert_eq!(found.insert(event.id, (due, event.failed_attempts)), None, "step {step}: twice in {name}");
            }
            assert_eq!(&found, pending, "step {step}: {name}");
        }
    }
}
