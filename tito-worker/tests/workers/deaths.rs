//! Events that kill their process. A process dies here as it does: what its worker had in hand is dropped where it is, and
//! its worker says nothing more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tito_core::Transaction;
use tito_core::event::TitoEvent;
use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_testkit::TestClock;
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{Subscription, WorkerBuilder};
use tokio::sync::{mpsc, oneshot};

use crate::support::*;

/// After that a worker that says nothing is dead for those in other processes.
const DEAD_AFTER: Duration = Duration::from_secs(40);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Handles {
    Plain,
    InTransaction,
    Batches,
    BatchesInTransaction,
}

const ALL: [Handles; 4] = [Handles::Plain, Handles::InTransaction, Handles::Batches, Handles::BatchesInTransaction];

/// What the lives of a process have in common.
#[derive(Clone)]
struct World {
    handled: Arc<Mutex<BTreeMap<String, u32>>>,
    /// Told when a killer is run.
    killed: mpsc::UnboundedSender<String>,
}

impl World {
    async fn handle(&self, event: &TitoEvent) {
        if event.entity.starts_with("killer") {
            let _ = self.killed.send(event.entity.clone());
            std::future::pending::<()>().await;
        }
        // As long as the others that were begun with it.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        *self.handled.lock().unwrap().entry(event.entity.clone()).or_default() += 1;
    }

    fn subscribe(&self, builder: WorkerBuilder, topic: &str, handles: Handles) -> WorkerBuilder {
        let world = self.clone();
        let options = Subscription::default().batch(8);
        match handles {
            Handles::Plain => builder.subscribe_with(topic, options, move |event: TitoEvent| {
                let world = world.clone();
                async move {
                    world.handle(&event).await;
                    Done::Ok(())
                }
            }),
            Handles::InTransaction => {
                builder.subscribe_with(topic, options.batch(1), move |event: TitoEvent, _: Transaction| {
                    let world = world.clone();
                    async move {
                        world.handle(&event).await;
                        Done::Ok(())
                    }
                })
            }
            Handles::Batches => builder.subscribe_with(topic, options, move |events: Vec<TitoEvent>| {
                let world = world.clone();
                async move {
                    for event in &events {
                        world.handle(event).await;
                    }
                    Done::Ok(())
                }
            }),
            Handles::BatchesInTransaction => {
                builder.subscribe_with(topic, options, move |events: Vec<TitoEvent>, _: Transaction| {
                    let world = world.clone();
                    async move {
                        for event in &events {
                            world.handle(event).await;
                        }
                        Done::Ok(())
                    }
                })
            }
        }
    }
}

/// Lives one life after the other until everything is done or dead-lettered, and returns how many ended by a death. No killer has
/// had more than five of them, however many there are at once.
async fn live(
    db: &Database,
    clock: &TestClock,
    subscriptions: &[(&str, Handles)],
    fleet: Option<&str>,
) -> (u32, BTreeMap<String, u32>) {
    let (killed, mut deaths) = mpsc::unbounded_channel();
    let world = World { handled: Arc::default(), killed };
    let mut died = 0;
    let mut deaths_of: BTreeMap<String, u32> = BTreeMap::new();
    loop {
        let mut builder = Worker::builder(TitoQueue::new(db.clone())).schedules(false);
        for (topic, handles) in subscriptions {
            builder = world.subscribe(builder, topic, *handles);
        }
        if let Some(fleet) = fleet {
            builder = builder.join(fleet).lease_time(Duration::from_secs(3));
        }
        let running = Running::start(builder);
        let killer = loop {
            tokio::select! {
                biased;
                killer = deaths.recv() => break killer,
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
            if stored(db, "event:").await.is_empty() {
                break None;
            }
            if fleet.is_some() {
                clock.advance(Duration::from_millis(500));
            }
        };
        let Some(killer) = killer else {
            running.stop().await;
            assert!(deaths_of.values().all(|deaths| (1..=5).contains(deaths)), "{deaths_of:?}");
            let handled = world.handled.lock().unwrap().clone();
            return (died, handled);
        };
        running.kill().await;
        // What it had sent to be committed is committed, as nothing of a dead process comes after its successor's start.
        put(db, "after", "").await;
        let in_hand: BTreeSet<_> =
            std::iter::once(killer).chain(std::iter::from_fn(|| deaths.try_recv().ok())).collect();
        for killer in in_hand {
            *deaths_of.entry(killer).or_default() += 1;
        }
        died += 1;
        assert!(died < 40, "still alive: {:?}", stored(db, "event:").await.len());
        clock.advance(DEAD_AFTER);
    }
}

async fn check_buried(db: &Database, queue: &str, killers: &[&str]) {
    let letters = TitoQueue::new(db.clone()).dead_letters(queue, 100, None).await.unwrap();
    let mut dead: Vec<_> = letters.iter().map(|letter| letter.event.as_ref().unwrap().entity.clone()).collect();
    dead.sort();
    assert_eq!(dead, killers);
    for letter in letters {
        let failure = letter.event.unwrap().failures.pop().unwrap();
        assert!(failure.error.contains("its process has died while it was handled"), "{}", failure.error);
    }
}

async fn publish_neighbours(db: &Database, topic: &str, count: usize) {
    publish(db, (0..count).map(|number| Publish::new(topic, format!("neighbour-{topic}-{number}")))).await;
}

#[fact]
pub async fn one_killer_is_buried_and_its_fifty_neighbours_are_done(db: Database, clock: TestClock) {
    for handles in ALL {
        publish_neighbours(&db, "job", 25).await;
        publish(&db, [job("killer")]).await;
        publish_neighbours(&db, "job", 50).await;
        let (died, handled) = live(&db, &clock, &[("job", handles)], None).await;
        assert!((3..=5).contains(&died), "{handles:?}: {died} deaths");
        assert_eq!(handled.len(), 50, "{handles:?}");
        check_buried(&db, "job", &["killer"]).await;
        TitoQueue::new(db.clone()).purge_dead_letters("job").await.unwrap();
    }
    assert!(stored(&db, "process:").await.is_empty());
}

#[fact]
pub async fn several_killers_at_once_are_buried_one_by_one(db: Database, clock: TestClock) {
    for handles in [Handles::Plain, Handles::BatchesInTransaction] {
        publish(&db, [job("killer-1")]).await;
        publish_neighbours(&db, "job", 20).await;
        publish(&db, [job("killer-2"), job("killer-3")]).await;
        let (died, handled) = live(&db, &clock, &[("job", handles)], None).await;
        assert!(died <= 15, "{handles:?}: {died} deaths");
        assert_eq!(handled.len(), 20, "{handles:?}");
        check_buried(&db, "job", &["killer-1", "killer-2", "killer-3"]).await;
        TitoQueue::new(db.clone()).purge_dead_letters("job").await.unwrap();
    }
}

#[fact]
pub async fn a_killer_is_told_from_the_events_of_another_subscription(db: Database, clock: TestClock) {
    publish(&db, [job("killer")]).await;
    publish_neighbours(&db, "job", 10).await;
    publish_neighbours(&db, "mail", 10).await;
    let subscriptions = [("job", Handles::Plain), ("mail", Handles::InTransaction)];
    let (died, handled) = live(&db, &clock, &subscriptions, None).await;
    assert!((3..=5).contains(&died), "{died} deaths");
    assert_eq!(handled.len(), 20);
    check_buried(&db, "job", &["killer"]).await;
    check_buried(&db, "mail", &[]).await;
}

#[fact]
pub async fn a_killer_in_a_fleet_is_buried(db: Database, clock: TestClock) {
    for handles in [Handles::Plain, Handles::InTransaction] {
        publish(&db, [job("killer")]).await;
        publish_neighbours(&db, "job", 10).await;
        let (died, handled) = live(&db, &clock, &[("job", handles)], Some("fleet")).await;
        assert!((3..=5).contains(&died), "{handles:?}: {died} deaths");
        assert_eq!(handled.len(), 10, "{handles:?}");
        check_buried(&db, "job", &["killer"]).await;
        TitoQueue::new(db.clone()).purge_dead_letters("job").await.unwrap();
    }
}

/// A process that is killed while it ends was told to end, as in a deploy.
#[fact]
pub async fn deploys_do_not_bury_a_long_handler(db: Database, clock: TestClock) {
    publish(&db, [job("long")]).await;
    for _ in 0..9 {
        let (begin, mut begun) = mpsc::unbounded_channel();
        let worker =
            Worker::builder(TitoQueue::new(db.clone())).schedules(false).subscribe("job", move |_: TitoEvent| {
                begin.send(()).unwrap();
                async { std::future::pending::<Done>().await }
            });
        let (stop, stopped) = oneshot::channel::<()>();
        let worker = worker.shutdown_timeout(Duration::from_secs(3_600)).build();
        let running = tokio::spawn(async move {
            worker.run(async { stopped.await.unwrap() }).await.unwrap();
        });
        begun.recv().await.unwrap();
        stop.send(()).unwrap();
        let is_noted = |(_, mark): &(Vec<u8>, Vec<u8>)| String::from_utf8_lossy(mark).contains(r#""stopping":true"#);
        while !stored(&db, "process:").await.iter().any(is_noted) {
            tokio::task::yield_now().await;
        }
        running.abort();
        running.await.unwrap_err();
        clock.advance(DEAD_AFTER);
    }
    let (worker, mut told) = telling(&db);
    let running = Running::start(worker);
    assert_eq!(told.recv().await.unwrap().deaths, None);
    assert_eq!(running.stop().await.done, 1);
    assert!(stored(&db, "process:").await.is_empty());
}

#[fact]
pub async fn a_worker_that_ends_by_itself_leaves_nothing_behind(db: Database, _: TestClock) {
    let (worker, mut told) = telling(&db);
    let running = Running::start(worker);
    publish(&db, (0..100).map(job)).await;
    for _ in 0..100 {
        told.recv().await.unwrap();
    }
    let tx = db.begin().await.unwrap();
    assert_eq!(tx.scan(KeyRange::prefix(keys::processes().start), 10).await.unwrap().len(), 1);
    tx.rollback().await;
    running.stop().await;
    assert!(stored(&db, "process:").await.is_empty());
}

/// The mark of a worker that has died, as its process has left it.
async fn leave_mark(db: &Database, queue: &str, in_hand: Option<&[Vec<u8>]>) {
    let listed = in_hand.map(|keys| keys.iter().map(|key| String::from_utf8(key.clone()).unwrap()).collect::<Vec<_>>());
    let mut mark = serde_json::json!({ "queues": [queue], "heartbeat": 0, "lease_millis": 30_000 });
    if let Some(listed) = listed {
        mark["in_hand"] = listed.into();
    }
    put(db, keys::process(uuid::Uuid::from_u128(7)), mark.to_string()).await;
}

#[fact]
pub async fn more_than_a_transaction_takes_is_suspected_in_parts(db: Database, _: TestClock) {
    with_one_partition(&db).await;
    let large = "x".repeat(900_000);
    for number in 0..4 {
        publish(&db, (0..10).map(|one| job(number * 10 + one).payload(&large).unwrap())).await;
    }
    let in_hand: Vec<_> = stored(&db, "event:").await.into_iter().map(|(key, _)| key).collect();
    leave_mark(&db, "job", Some(&in_hand)).await;
    let (worker, mut told) = telling(&db);
    let running = Running::start(worker);
    for _ in 0..40 {
        assert_eq!(told.recv().await.unwrap().deaths, Some(0));
    }
    assert_eq!(running.stop().await.done, 40);
    assert!(stored(&db, "process:").await.is_empty());
}

#[fact]
pub async fn an_event_without_room_for_a_suspicion_is_no_obstacle_to_the_others(db: Database, _: TestClock) {
    publish(&db, ["a", "full", "b"].map(job)).await;
    let events = stored(&db, "event:").await;
    let full = |(key, row): &&(Vec<u8>, Vec<u8>)| TitoEvent::decode(key, row).unwrap().entity == "full";
    let (key, row) = events.iter().find(full).unwrap();
    let mut filled: serde_json::Value = serde_json::from_slice(row).unwrap();
    filled["progress"] = "".into();
    let room = db.limits().value_bytes - filled.to_string().len();
    filled["progress"] = "x".repeat(room).into();
    put(&db, key.clone(), filled.to_string()).await;
    leave_mark(&db, "job", Some(&events.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>())).await;
    let (worker, mut told) = telling(&db);
    let running = Running::start(worker);
    for _ in 0..2 {
        assert_eq!(told.recv().await.unwrap().deaths, Some(0));
    }
    assert_eq!(running.stop().await.done, 2);
    let letters = TitoQueue::new(db.clone()).dead_letters("job", 10, None).await.unwrap();
    assert_eq!(
        letters.iter().map(|letter| letter.event.as_ref().unwrap().entity.as_str()).collect::<Vec<_>>(),
        ["full"]
    );
    assert!(stored(&db, "process:").await.is_empty());
}

/// The list of what is in hand is a value, and has the room of one.
#[fact]
pub async fn batches_wait_for_one_another_where_the_list_of_what_is_in_hand_is_full(db: Database, _: TestClock) {
    let topic = "x".repeat(255);
    TitoQueue::new(db.clone()).create_topic(&topic, 16).await.unwrap();
    for transaction in 0..8 {
        publish(&db, (0..500).map(|one| Publish::new(&topic, (transaction * 500 + one).to_string()))).await;
    }
    leave_mark(&db, &topic, None).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let settings = Subscription::default().batch(300).concurrency(16);
    let handler = {
        let gate = gate.clone();
        move |events: Vec<TitoEvent>| {
            let (tell, gate) = (tell.clone(), gate.clone());
            async move {
                tell.send(events.len()).unwrap();
                gate.acquire().await.unwrap().forget();
                Done::Ok(())
            }
        }
    };
    let worker = Worker::builder(TitoQueue::new(db.clone())).subscribe_with(&topic, settings, handler);
    let running = Running::start(worker.schedules(false));
    let mut begun = 0;
    while begun < 4_000 {
        // As many batches as can be in hand at once.
        let mut idle = 0;
        while idle < 2_000 && begun < 4_000 {
            match told.try_recv() {
                Ok(events) => (begun, idle) = (begun + events, 0),
                Err(_) => idle += 1,
            }
            tokio::task::yield_now().await;
        }
        gate.add_permits(1);
    }
    gate.add_permits(1_000);
    let report = running.stop().await;
    assert_eq!((report.done, report.rescheduled), (4_000, 0));
}

/// An application ends its worker's task, and begins another: its process has not died.
#[fact]
pub async fn a_worker_that_is_dropped_where_its_process_lives_is_no_death(db: Database, clock: TestClock) {
    publish(&db, [job("long")]).await;
    for _ in 0..9 {
        let (begin, mut begun) = mpsc::unbounded_channel();
        let worker = Worker::builder(TitoQueue::new(db.clone())).schedules(false);
        let worker = worker.subscribe("job", move |_: TitoEvent| {
            begin.send(()).unwrap();
            async { std::future::pending::<Done>().await }
        });
        let worker = worker.build();
        let running = tokio::spawn(async move { worker.run(std::future::pending()).await.map(|_| ()) });
        begun.recv().await.unwrap();
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        clock.advance(DEAD_AFTER);
    }
    let (worker, mut told) = telling(&db);
    let running = Running::start(worker);
    assert_eq!(told.recv().await.unwrap().deaths, None);
    assert_eq!(running.stop().await.done, 1);
    assert!(stored(&db, "process:").await.is_empty());
}
