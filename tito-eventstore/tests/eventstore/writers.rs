//! Writers of many processes, expectations that collide, and watchers meanwhile.

use std::collections::BTreeMap;

use futures::future::join_all;
use tito_core::prelude::*;
use tito_core::{BoxError, Transaction};
use tito_eventstore::{
    Event, EventStore, EventStoreConfig, EventStoreError, Evolver, Manager, Model, NewEvent, Select,
};
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};

const PROCESSES: u64 = 8;
const ENTITIES: u64 = 5;

/// The ids that each entity has, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ledger {
    last: u64,
    entities: BTreeMap<String, Vec<String>>,
}

impl Evolver for Ledger {
    fn evolve(&mut self, event: &Event) -> Result<(), BoxError> {
        assert_eq!(event.sequence(), self.last + 1, "each event once, in order, without a hole");
        self.last = event.sequence();
        self.entities.entry(event.entity().to_string()).or_default().push(event.id().to_string());
        Ok(())
    }
}

/// What a writer was told.
#[derive(Default)]
struct Told {
    /// The sequences of what was accepted.
    accepted: BTreeMap<String, u64>,
    refused: Vec<String>,
    /// What neither can be said of.
    unknown: Vec<String>,
}

/// One process's appends, one after another: half of them expect what they have read, which others may have overtaken.
async fn write(stores: Vec<EventStore>, process: u64, appends: u64, seed: u64) -> Told {
    let mut random = fastrand::Rng::with_seed(seed ^ process);
    let mut told = Told::default();
    for append in 0..appends {
        let store = &stores[random.usize(0..stores.len())];
        let entity = format!("account.{}", random.u64(0..ENTITIES));
        let ids: Vec<_> = (0..random.u64(1..4)).map(|number| format!("{process}-{append}-{number}")).collect();
        let mut events: Vec<_> =
            ids.iter().map(|id| NewEvent::raw(entity.as_str(), "noted", "data").id(id.as_str())).collect();
        if random.bool() {
            let Ok(last) = store.evolve(&mut Nothing, entity.as_str()).await else { continue };
            tokio::task::yield_now().await;
            events[0] = events[0].clone().expect_sequence(last);
        }
        match store.append(events).await {
            Ok(last) => {
                let first = last + 1 - ids.len() as u64;
                told.accepted.extend(ids.into_iter().zip(first..));
            }
            Err(EventStoreError::Engine(error)) if !error.is_not_committed() => told.unknown.extend(ids),
            Err(EventStoreError::SequenceConflict { .. } | EventStoreError::Engine(_)) => told.refused.extend(ids),
            Err(error) => panic!("{error:?}"),
        }
    }
    told
}

struct Nothing;

impl Evolver for Nothing {
    fn evolve(&mut self, _: &Event) -> Result<(), BoxError> {
        Ok(())
    }
}

/// Lets processes write to some stores, each followed by a watcher, once `disturb` has been called, and checks what is
/// there in the end.
async fn writers(db: Database, stores: usize, appends: u64, disturb: impl FnOnce()) -> (usize, usize) {
    let seed = tito_testkit::seed();
    let names: Vec<_> = (0..stores).map(|number| format!("bank-{number}")).collect();
    let manager = Manager::new(db.clone());
    let mut watchers = Vec::new();
    for name in &names {
        let store = manager.create_event_store(EventStoreConfig::new(name)).await.unwrap();
        let model = Model::new(Ledger::default());
        let watcher = store.watch(model.clone(), Select::all()).await.unwrap();
        watchers.push((store, model, watcher));
    }
    disturb();
    let processes = (0..PROCESSES).map(|process| {
        // A manager of its own shares nothing with the others.
        let (manager, names) = (Manager::new(db.clone()), names.clone());
        tokio::spawn(async move {
            let mut stores = Vec::new();
            for name in &names {
                stores.push(until_done(|| manager.get_event_store(name)).await);
            }
            write(stores, process, appends, seed).await
        })
    });
    let mut told = Told::default();
    for process in join_all(processes).await {
        let Told { accepted, refused, unknown } = process.unwrap();
        told.accepted.extend(accepted);
        told.refused.extend(refused);
        told.unknown.extend(unknown);
    }

    let mut stored = BTreeMap::new();
    for (store, model, watcher) in watchers {
        let last = until_done(|| store.last_sequence()).await;
        assert!(watcher.reached(last).await);
        watcher.stop().await.unwrap();
        let fresh = Model::new(Ledger::default());
        // A model skips what an attempt that failed has folded.
        until_done(|| async { Ok(store.evolve(&mut fresh.clone(), Select::all()).await?) }).await;
        assert_eq!(model.with(Clone::clone), fresh.with(Clone::clone), "what was watched is what is folded from zero");
        let events = read_until_done(&store).await;
        assert_eq!(events.iter().map(Event::sequence).collect::<Vec<_>>(), (1..=last).collect::<Vec<_>>());
        for event in events {
            assert_eq!(stored.insert(event.id().to_string(), event.sequence()), None, "once");
        }
    }
    for (id, sequence) in &told.accepted {
        assert_eq!(stored.get(id), Some(sequence), "{id} was accepted");
    }
    for id in &told.refused {
        assert_eq!(stored.get(id), None, "{id} was refused");
    }
    let known = told.accepted.len() + told.unknown.iter().filter(|id| stored.contains_key(*id)).count();
    assert_eq!(stored.len(), known);
    (told.accepted.len(), told.refused.len())
}

async fn read_until_done(store: &EventStore) -> Vec<Event> {
    use futures::TryStreamExt;
    until_done(|| store.events(Select::all()).try_collect()).await
}

/// Calls something that faults may hit until it is done.
async fn until_done<T, Fut: Future<Output = Result<T, EventStoreError>>>(call: impl Fn() -> Fut) -> T {
    for _ in 0..1000 {
        match call().await {
            Ok(done) => return done,
            Err(EventStoreError::Engine(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("every call failed");
}

#[fact]
pub async fn writers_of_one_store_leave_no_hole(db: Database, _: TestClock) {
    let (accepted, refused) = writers(db, 1, 40, || {}).await;
    assert!(accepted > 0 && refused > 0, "{accepted} accepted, {refused} refused");
}

#[fact]
pub async fn writers_of_a_hundred_stores_leave_no_hole(db: Database, _: TestClock) {
    let (accepted, _) = writers(db, 100, 40, || {}).await;
    assert!(accepted > 0);
}

#[fact]
pub async fn nothing_is_lost_or_doubled_while_every_call_may_fail(db: Database, _: TestClock) {
    let db = FaultEngine::seeded(db, tito_testkit::seed()).database();
    let faults = db.faults().clone();
    let disturb = || {
        for call in [Call::Begin, Call::Get, Call::BatchGet, Call::Scan, Call::Put] {
            faults.at(call).with_probability(0.01).storage_error();
        }
        faults.at(Call::Commit).with_probability(0.05).conflict();
        faults.at(Call::Commit).with_probability(0.05).unknown_without_effect();
        faults.at(Call::Commit).with_probability(0.05).unknown_after_effect();
    };
    let (accepted, _) = writers(db, 3, 40, disturb).await;
    assert!(accepted > 0);
}

#[fact]
pub async fn a_busy_store_can_be_changed_appended_to_in_transactions_and_deleted(db: Database, _: TestClock) {
    let manager = Manager::new(db);
    let store = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    let appenders = (0..64).map(|number| {
        let store = store.clone();
        async move { while store.append(NewEvent::raw(format!("busy.{number}"), "noted", "data")).await.is_ok() {} }
    });
    let appenders = tokio::spawn(join_all(appenders.collect::<Vec<_>>()));
    for number in 0..20 {
        let config = EventStoreConfig::new("bank").description(number.to_string());
        manager.update_event_store(config).await.unwrap();
    }
    for number in 0..20u8 {
        let append = store.clone();
        let appended = store.transaction(|tx: Transaction| async move {
            tx.put(b"row".to_vec(), vec![number]).await?;
            append.append_in(&tx, NewEvent::raw("mine.1", "noted", "data")).await
        });
        appended.await.unwrap();
    }
    assert_eq!(read_until_done(&store).await.iter().filter(|event| event.entity() == "mine.1").count(), 20);
    manager.delete_event_store("bank").await.unwrap();
    // They go on for as long as it is there.
    appenders.await.unwrap();
}
