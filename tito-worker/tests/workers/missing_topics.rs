//! Topics that there are not.

use tito_core::event::{EventReference, TitoEvent, Topic};
use tito_core::prelude::*;
use tito_testkit::TestClock;
use tito_worker::prelude::*;
use tito_worker::{QueueError, Subscription, Swept};

use crate::support::*;

async fn topics(db: &Database) -> Vec<String> {
    let topics = TitoQueue::new(db.clone()).topics(100, None).await.unwrap();
    topics.into_iter().map(|(name, _)| name).collect()
}

#[fact]
pub async fn asking_about_a_missing_topic_is_an_error_with_the_nearest_name_and_creates_none(
    db: Database,
    _: TestClock,
) {
    let queue = TitoQueue::new(db.clone());
    for topic in ["order_mail", "invoice"] {
        queue.create_topic(topic, 1).await.unwrap();
    }
    let (missing, tx) = ("order_mial", db.begin().await.unwrap());
    let reference = EventReference {
        event_type: missing.to_string(),
        entity: "a".to_string(),
        timestamp: 0,
        id: uuid::Uuid::nil(),
    };
    let (times, all) = (at_second(0)..at_second(1), |_: &TitoEvent| true);
    let refused = [
        queue.stats(missing).await.map(drop),
        queue.peek(missing, 1, None).await.map(drop),
        queue.find(&reference).await.map(drop),
        queue.find_by_id(missing, reference.id).await.map(drop),
        queue.purge(missing).await.map(drop),
        queue.purge_where(missing, all).await.map(drop),
        queue.pause(missing).await,
        queue.resume("order_mial@audit").await,
        queue.groups(missing).await.map(drop),
        queue.remove_group(missing, "audit").await,
        queue.dead_letters(missing, 1, None).await.map(drop),
        queue.dead_letters_of_partition(missing, 0, 1, None).await.map(drop),
        queue.dead_letters_where(missing, 1, None, |_| true).await.map(drop),
        queue.redrive(missing, reference.id).await.map(drop),
        queue.redrive_all(missing).await.map(drop),
        queue.redrive_where(missing, |_| true).await.map(drop),
        queue.purge_dead_letters(missing).await.map(drop),
        queue.purge_dead_letters_where(missing, |_| true).await.map(drop),
        queue.history(missing, times.clone(), 1, None).await.map(drop),
        queue.replay(missing, times, missing).await.map(drop),
        queue.sweep_once(missing).await.map(drop),
        queue.leases(missing).await.map(drop),
        queue.cancel(&reference, &tx).await.map(drop).map_err(QueueError::from),
        queue.cancel_unique(missing, "k", &tx).await.map(drop).map_err(QueueError::from),
        queue.reschedule(&reference, at_second(1), &tx).await.map(drop).map_err(QueueError::from),
        queue.reschedule_unique(missing, "k", at_second(1), &tx).await.map(drop).map_err(QueueError::from),
    ];
    for (call, refused) in refused.into_iter().enumerate() {
        let Err(QueueError::UnknownTopic { topic, nearest }) = refused else { panic!("call {call}: {refused:?}") };
        assert_eq!((topic.as_str(), nearest.as_deref()), (missing, Some("order_mail")), "call {call}");
    }
    let far = queue.stats("shipment").await.unwrap_err();
    assert_eq!(far.to_string(), "there is no topic \"shipment\"");
    let near = queue.stats("invioce").await.unwrap_err();
    assert_eq!(near.to_string(), "there is no topic \"invioce\", the nearest is \"invoice\"");
    assert_eq!(topics(&db).await, ["invoice", "order_mail"]);
}

#[fact]
pub async fn publishing_and_what_sets_a_topic_up_create_it(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    publish(&db, [job("a")]).await;
    turning(&clock, queue.add_group("grouped", "audit", Default::default())).await.unwrap();
    turning(&clock, queue.resize_topic("resized", 3)).await.unwrap();
    queue.set_history("kept", None).await.unwrap();
    let says_so = Subscription::default().new_topic_partitions(2);
    let worker = Worker::builder(queue.clone())
        .subscribe_with("subscribed", says_so, |_: TitoEvent| async { Done::Ok(()) })
        .subscribe("not there", |_: TitoEvent| async { Done::Ok(()) })
        .build();
    worker.drain().await.unwrap();
    assert_eq!(topics(&db).await, ["grouped", "job", "kept", "resized", "subscribed"]);
    assert_eq!(Topic::find(&db, "subscribed").await.unwrap().unwrap().partitions, 2);
    assert_eq!(queue.sweep_once("job").await.unwrap(), Swept::default());
}

#[fact]
pub async fn a_subscription_to_a_missing_topic_serves_it_from_its_first_event(db: Database, _: TestClock) {
    let (builder, mut told) = telling(&db);
    let worker = Running::start(builder);
    // It has looked, and found none.
    let (other, mut others_told) = tokio::sync::mpsc::unbounded_channel();
    publish(&db, [Publish::new("mail", "a")]).await;
    let beside = Worker::builder(TitoQueue::new(db.clone())).subscribe("mail", move |event: TitoEvent| {
        let _ = other.send(event);
        async { Done::Ok(()) }
    });
    let beside = Running::start(beside);
    others_told.recv().await.unwrap();
    assert_eq!(topics(&db).await, ["mail"]);
    TitoQueue::new(db.clone()).create_topic("job", 3).await.unwrap();
    publish(&db, [job("first")]).await;
    assert_eq!(told.recv().await.unwrap().entity, "first");
    assert_eq!((worker.stop().await.done, beside.stop().await.done), (1, 1));
}
