use tito_core::BoxError;
use tito_core::prelude::*;
use tito_eventstore::{
    Command, Decider, Envelope, Event, EventStore, EventStoreError, Evolver, Model, NewEvent, Select, Viewer,
};
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};

use crate::support::*;

/// A counter that refuses to go over its limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counter {
    count: u64,
}

const LIMIT: u64 = 100;

impl Evolver for Counter {
    fn evolve(&mut self, _: &Event) -> Result<(), BoxError> {
        self.count += 1;
        Ok(())
    }
}

struct Count {
    times: u64,
}

impl Command for Count {
    fn validate(&self) -> Result<(), BoxError> {
        if self.times > 10 { Err("too many at once".into()) } else { Ok(()) }
    }
}

impl Decider<Count> for Counter {
    fn decide(&self, command: &Count) -> Result<Vec<NewEvent>, BoxError> {
        if self.count + command.times > LIMIT {
            return Err("it would go over the limit".into());
        }
        Ok((0..command.times).map(|_| event("counter.1", "counted")).collect())
    }
}

impl Viewer for Counter {
    type View = String;

    fn view(&self) -> String {
        format!("{} of {LIMIT}", self.count)
    }
}

async fn evolved(store: &EventStore) -> Model<Counter> {
    let mut model = Model::new(Counter::default());
    store.evolve(&mut model, "counter.1").await.unwrap();
    model
}

#[fact]
pub async fn a_decision_by_an_outdated_model_is_refused(db: Database, _: TestClock) {
    let store = store(&db).await;
    let mut outdated = evolved(&store).await;
    let fresh = evolved(&store).await;
    assert_eq!(store.decide(&fresh, &Count { times: 2 }).await.unwrap().last_sequence(), Some(2));
    // What `decide` has appended it does not fold.
    assert_eq!(fresh.with(|counter| counter.count), 0);
    let refused = store.decide(&outdated, &Count { times: 1 }).await.unwrap_err();
    assert!(matches!(refused, EventStoreError::SequenceConflict { expected: 0, actual: 2, .. }), "{refused:?}");
    store.evolve(&mut outdated, "counter.1").await.unwrap();
    assert_eq!(store.decide_and_evolve(&mut outdated, &Count { times: 1 }).await.unwrap().last_sequence(), Some(3));
    assert_eq!(outdated.view(), "3 of 100");
    assert_eq!(outdated.last_sequence("counter.1"), 3);
    assert_eq!(outdated.last_sequence("counter.2"), 0);
}

#[fact]
pub async fn a_model_evolves_by_what_it_decides(db: Database, _: TestClock) {
    let store = store(&db).await;
    store.append(event("other.1", "x")).await.unwrap();
    let mut plain = Counter::default();
    assert_eq!(store.decide_and_evolve(&mut plain, &Count { times: 3 }).await.unwrap().last_sequence(), Some(4));
    assert_eq!(plain.count, 3);
    assert_eq!(store.decide_and_evolve(&mut plain, &Count { times: 0 }).await.unwrap().last_sequence(), None);
}

#[fact]
pub async fn a_refused_or_invalid_command_appends_nothing(db: Database, _: TestClock) {
    let store = store(&db).await;
    let counter = Counter { count: LIMIT };
    let refused = store.decide(&counter, &Count { times: 1 }).await.unwrap_err();
    let EventStoreError::Decider { source } = refused else { panic!("{refused:?}") };
    assert_eq!(source.to_string(), "it would go over the limit");
    let invalid = store.decide(&counter, &Count { times: 11 }).await.unwrap_err();
    assert!(matches!(invalid, EventStoreError::CommandInvalid { .. }), "{invalid:?}");
    assert_eq!(store.last_sequence().await.unwrap(), 0);
}

#[fact]
pub async fn tasks_that_share_a_model_lose_no_decision(db: Database, _: TestClock) {
    let store = store(&db).await;
    let model = evolved(&store).await;
    let tasks = (0..8).map(|_| {
        let (store, mut model) = (store.clone(), model.clone());
        async move {
            let mut accepted = 0;
            loop {
                match store.decide_and_evolve(&mut model, &Count { times: 1 }).await {
                    Ok(_) => accepted += 1,
                    Err(EventStoreError::SequenceConflict { .. }) => {
                        store.evolve(&mut model, "counter.1").await.unwrap();
                    }
                    Err(EventStoreError::Decider { .. }) => return accepted,
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
    });
    let accepted: u64 = futures::future::join_all(tasks).await.into_iter().sum();
    assert_eq!(accepted, LIMIT);
    assert_eq!(store.last_sequence().await.unwrap(), LIMIT);
    assert_eq!(model.with(|counter| counter.count), LIMIT);
    assert_eq!(evolved(&store).await.with(Clone::clone), model.with(Clone::clone));
}

#[fact]
pub async fn a_model_skips_what_it_has_applied(db: Database, _: TestClock) {
    let store = store(&db).await;
    store.append([event("counter.1", "counted"), event("counter.2", "counted")]).await.unwrap();
    let mut model = Model::new(Counter::default());
    store.evolve(&mut model, "counter.2").await.unwrap();
    store.evolve(&mut model, "counter").await.unwrap();
    store.evolve(&mut model, "counter").await.unwrap();
    assert_eq!(model.with(|counter| counter.count), 2);
}

/// Decides on the events that it is told, whatever its state.
#[derive(Clone, Debug, Default)]
struct Told(Seen);

struct Tell(Vec<NewEvent>);

impl Command for Tell {}

impl Evolver for Told {
    fn evolve(&mut self, event: &Event) -> Result<(), BoxError> {
        self.0.evolve(event)
    }
}

impl Decider<Tell> for Told {
    fn decide(&self, Tell(events): &Tell) -> Result<Vec<NewEvent>, BoxError> {
        Ok(events.clone())
    }
}

#[fact]
pub async fn each_event_of_a_decision_expects_what_the_model_has_seen(db: Database, _: TestClock) {
    let store = store(&db).await;
    store.append(event("a.1", "x").id("there")).await.unwrap();
    let outdated = Model::new(Told::default());
    // The first of them expects nothing, as it is there already.
    let partly_there = Tell(vec![event("a.1", "x").id("there"), event("a.1", "y").id("new")]);
    let refused = store.decide(&outdated, &partly_there).await.unwrap_err();
    assert!(matches!(refused, EventStoreError::SequenceConflict { expected: 0, actual: 1, .. }), "{refused:?}");
    // One has an expectation of its own.
    let own = Tell(vec![event("a.1", "x").expect_sequence_of("b", 0), event("a.1", "y")]);
    let refused = store.decide(&outdated, &own).await.unwrap_err();
    assert!(matches!(refused, EventStoreError::SequenceConflict { expected: 0, actual: 1, .. }), "{refused:?}");
    let mut current = outdated;
    store.evolve(&mut current, "a").await.unwrap();
    assert_eq!(store.decide(&current, &partly_there).await.unwrap().last_sequence(), Some(2));
}

#[fact]
pub async fn a_decision_with_an_expectation_of_its_own_loses_no_event(db: Database, _: TestClock) {
    let store = store(&db).await;
    let mut model = Model::new(Told::default());
    store.append([event("a.1", "x"), event("a.1", "x")]).await.unwrap();
    let own = Tell(["a.1", "a.1", "b.1"].map(|entity| event(entity, "y").expect_sequence_of("c", 0)).to_vec());
    assert_eq!(store.decide_and_evolve(&mut model, &own).await.unwrap().last_sequence(), Some(5));
    assert_eq!(model.with(|told| told.0.0.clone()), [5], "those of an entity of which it lacks events can wait");
    store.evolve(&mut model, Select::all()).await.unwrap();
    assert_eq!(model.with(|told| told.0.0.clone()), [5, 1, 2, 3, 4]);
}

#[fact]
pub async fn an_error_after_a_decision_was_appended_does_not_ask_for_it_again(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    let store = store(&db).await;
    let mut told = Told::default();
    let poisoned = Tell(["x", "poison", "x"].map(|event_type| event("a.1", event_type)).to_vec());
    let error = store.decide_and_evolve(&mut told, &poisoned).await.unwrap_err();
    let EventStoreError::Evolver { sequence: 2, entity, event_type, .. } = &error else { panic!("{error:?}") };
    assert_eq!((entity.as_str(), event_type.as_str()), ("a.1", "poison"));
    assert!(!error.is_retryable());
    assert_eq!((told.0.0, store.last_sequence().await.unwrap()), (vec![1], 3));
    // What was appended need not be read for the model to evolve by it.
    db.faults().at(Call::Scan).storage_error();
    let decision = store.decide_and_evolve(&mut Counter::default(), &Count { times: 2 }).await.unwrap();
    assert_eq!(decision.events().len(), 2);
}

#[fact]
pub async fn a_model_evolves_by_what_it_decided_though_the_outcome_was_unknown_at_first(db: Database, _: TestClock) {
    let faulty = FaultEngine::new(db.clone()).database();
    let store = store(&faulty).await;
    let mut model = evolved(&store).await;
    for with_id in [false, true, false] {
        faulty.faults().at(Call::Commit).unknown_after_effect();
        let command = Envelope::new(Count { times: 2 });
        let command = if with_id { command.id("request-1") } else { command };
        let decision = store.decide_and_evolve(&mut model, &command).await;
        let decision = decision.unwrap();
        assert!(!decision.is_repeated());
        let last = decision.last_sequence().unwrap();
        assert_eq!((model.last_sequence("counter.1"), model.with(|counter| counter.count)), (last, last));
        assert_eq!(decision.events(), read(&store, Select::filter("counter.1").after(last - 2)).await);
    }
    let again = store.decide_and_evolve(&mut model, &Envelope::new(Count { times: 2 }).id("request-1")).await.unwrap();
    assert_eq!((again.is_repeated(), again.last_sequence(), store.last_sequence().await.unwrap()), (true, Some(4), 6));
}

/// What the decider expects is its own matter, so the model may lack what was appended before.
#[fact]
pub async fn a_model_that_lacks_earlier_events_waits_for_them_whatever_became_known_when(db: Database, _: TestClock) {
    let faulty = FaultEngine::new(db.clone()).database();
    let store = store(&faulty).await;
    store.append([event("a.1", "x"), event("b.1", "x").id("there")]).await.unwrap();
    let mut model = Model::new(Told::default());
    let own = ["a.1", "c.1", "c.1"].map(|entity| event(entity, "y").expect_sequence_of("d", 0));
    let own = [&own[..], &[event("b.1", "x").id("there")]].concat();
    faulty.faults().at(Call::Commit).unknown_after_effect();
    let decision = store.decide_and_evolve(&mut model, &Tell(own)).await.unwrap();
    assert_eq!(model.with(|told| told.0.0.clone()), [4, 5]);
    let stored = read(&store, Select::all()).await;
    // That of the id that was there is as it was stored then.
    assert_eq!(decision.events(), [3, 4, 5, 2].map(|sequence: usize| stored[sequence - 1].clone()));
}
