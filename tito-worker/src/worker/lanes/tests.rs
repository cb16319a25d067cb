use tito_core::TitoError;
use tito_core::embedded::EmbeddedBackend;
use tito_core::event::TitoEvent;
use tokio::sync::Semaphore;

use super::*;
use crate::fate::Fate;
use crate::handler::BoxedHandler;
use crate::observe::{Observers, Watched};
use crate::policy::Subscription;
use crate::worker::fence::Fence;
use crate::worker::record::Recorded;
use crate::worker::runner::Origin;

const ENTITY: Entity = 7;

fn recording(events: usize) -> Queues {
    let mut queues = Queues::default();
    let lane = Lane { state: State::Recording, unrecorded: events, waiting: Waiting::default() };
    queues.lanes.insert(ENTITY, lane);
    queues
}

#[test]
fn an_entity_goes_on_when_all_of_its_events_that_failed_together_are_recorded() {
    let mut queues = recording(2);
    queues.end_suspension(ENTITY);
    assert!(queues.lanes.contains_key(&ENTITY), "what is read meanwhile has to wait");
    queues.end_suspension(ENTITY);
    assert!(queues.lanes.is_empty());
}

#[test]
fn what_was_not_begun_waits_behind_what_came_in_before_it_meanwhile() {
    let origin = Arc::new(Origin { partition: 0, revision: 0, fence: Fence::new("job", 0, None), hands: None });
    let delivery = |key: &[u8]| Delivery {
        key: key.to_vec(),
        stored: Vec::new(),
        version: None,
        entity: ENTITY,
        is_suspect: false,
        origin: origin.clone(),
    };
    let mut queues = Queues::default();
    queues.submit(delivery(b"2"));
    queues.submit(delivery(b"3"));
    let taken = queues.take(2);
    // Redriven while the handler of the others runs.
    queues.submit(delivery(b"1"));
    queues.submit(delivery(b"4"));
    let verdicts = [Verdict::Recorded(Recorded { fate: Fate::Dead, failure: None, remains: false }), Verdict::NotBegun];
    let ran = verdicts.map(|verdict| Ran { verdict, watched: Watched::default() });
    finish(&mut queues, taken, Few::from_iter(ran), Order::Strict);
    let next: Vec<_> = queues.take(9).into_iter().map(|delivery| delivery.key).collect();
    assert_eq!(next, [b"1", b"3", b"4"]);
}

#[tokio::test]
async fn partitions_take_turns_with_the_handlers_that_they_share() {
    let handled = Arc::new(Mutex::new(Vec::new()));
    let noted = handled.clone();
    let handler = BoxedHandler::new(move |event: TitoEvent| {
        noted.lock().unwrap().push(event.entity);
        async {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            Ok::<_, TitoError>(())
        }
    });
    let database = EmbeddedBackend::in_memory().await.unwrap();
    let (one, reads) = (Subscription::default().concurrency(1), Arc::new(Semaphore::new(1)));
    let runner = Runner::new(database, "job".to_string(), one, (handler, None), Observers::default(), reads);
    let runner = Arc::new(runner);
    let deliveries = |partition: u16, entities: std::ops::Range<u64>| -> Vec<Delivery> {
        let origin =
            Arc::new(Origin { partition, revision: 0, fence: Fence::new("job", partition, None), hands: None });
        let delivery = |entity: u64| Delivery {
            key: entity.to_string().into_bytes(),
            stored: format!(
                r#"{{"id":"018bcfe5-6800-7000-8000-000000000000","type":"job","entity":"{entity}","action":"a",
                "timestamp":0,"attempt":0}}"#
            )
            .into_bytes(),
            version: None,
            entity,
            is_suspect: false,
            origin: origin.clone(),
        };
        entities.map(delivery).collect()
    };
    let (mut many, mut few) = (Lanes::new(runner.clone()), Lanes::new(runner));
    // Their tasks run once this one waits.
    many.submit(deliveries(0, 0..100));
    few.submit(deliveries(1, 100..101));
    while handled.lock().unwrap().len() < 101 {
        tokio::task::yield_now().await;
    }
    let at = handled.lock().unwrap().iter().position(|entity| entity == "100").unwrap();
    assert!(at < 5, "the turn of the partition with one event came after {at} others");
}
