//! Commands in envelopes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tito_core::BoxError;
use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_eventstore::event::metadata;
use tito_eventstore::{
    Command, Decider, Decision, Envelope, Event, EventStoreConfig, EventStoreError, Evolver, Manager, Model, NewEvent,
    Retention, Select,
};
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};

use crate::support::*;

/// A till that counts how often it was asked to decide.
#[derive(Clone, Debug, Default)]
struct Till {
    cents: u64,
    asked: Arc<AtomicU64>,
}

#[derive(Clone, Debug)]
struct Pay(Vec<u64>);

impl Command for Pay {
    fn validate(&self) -> Result<(), BoxError> {
        if self.0.contains(&0) { Err("nothing is paid".into()) } else { Ok(()) }
    }

    fn content(&self) -> Option<Vec<u8>> {
        Some(format!("{:?}", self.0).into_bytes())
    }
}

impl Decider<Pay> for Till {
    fn decide(&self, Pay(cents): &Pay) -> Result<Vec<NewEvent>, BoxError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if cents.iter().sum::<u64>() > 1000 {
            return Err("that is too much".into());
        }
        Ok(cents.iter().map(|cents| NewEvent::raw("till.1", "paid", cents.to_string())).collect())
    }
}

impl Evolver for Till {
    fn evolve(&mut self, event: &Event) -> Result<(), BoxError> {
        self.cents += std::str::from_utf8(event.bytes())?.parse::<u64>()?;
        Ok(())
    }
}

fn pay(cents: impl Into<Vec<u64>>) -> Envelope<Pay> {
    Envelope::new(Pay(cents.into()))
}

fn sequences_of(decision: &Decision) -> Vec<u64> {
    decision.events().iter().map(Event::sequence).collect()
}

fn asked(till: &Model<Till>) -> u64 {
    till.with(|till| till.asked.load(Ordering::Relaxed))
}

#[fact]
pub async fn a_decision_has_the_events_as_they_are_stored(db: Database, _: TestClock) {
    let store = store(&db).await;
    store.append(event("other.1", "x")).await.unwrap();
    let mut till = Model::new(Till::default());
    let decision = store.decide_and_evolve(&mut till, &Pay(vec![5, 7])).await.unwrap();
    assert_eq!(decision.events(), read(&store, "till.1").await);
    assert_eq!((sequences_of(&decision), decision.last_sequence()), (vec![2, 3], Some(3)));
    assert_eq!((till.with(|till| till.cents), decision.is_repeated()), (12, false));
    let nothing = store.decide(&till, &Pay(Vec::new())).await.unwrap();
    assert_eq!((nothing.is_empty(), nothing.last_sequence(), decision.is_empty()), (true, None, false));
}

#[fact]
pub async fn what_is_beside_a_command_is_in_its_events(db: Database, _: TestClock) {
    let store = store(&db).await;
    let given: DateTime<Utc> = "2026-03-01T12:30:00.25Z".parse().unwrap();
    let command = pay([5]).id("request-1").command_type("pay").time(given).asked_by("ada").metadata("channel", "web");
    let till = Model::new(Till::default());
    let decision = store.decide(&till, &command).await.unwrap();
    let [stored] = &read(&store, "till.1").await[..] else { panic!() };
    assert_eq!(decision.events(), std::slice::from_ref(stored));
    let texts = stored.metadata();
    let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let expected = [
        (metadata::ASKED_BY, "ada"),
        (metadata::CAUSATION_ID, "request-1"),
        ("channel", "web"),
        (metadata::COMMAND_TIME, "2026-03-01T12:30:00.250Z"),
        (metadata::COMMAND_TYPE, "pay"),
        (metadata::CORRELATION_ID, "request-1"),
    ];
    assert_eq!(texts, expected);
    let told = (stored.causation_id(), stored.correlation_id(), stored.asked_by());
    assert_eq!(told, (Some("request-1"), Some("request-1"), Some("ada")));
    let other = pay([6]).id("request-2").correlation("process-9");
    let decision = store.decide(&Model::new(Till::default()), &other).await;
    assert!(matches!(decision, Err(EventStoreError::SequenceConflict { .. })), "{decision:?}");
    let mut current = Model::new(Till::default());
    store.evolve(&mut current, "till.1").await.unwrap();
    let decision = store.decide(&current, &other).await.unwrap();
    assert_eq!(decision.events()[0].correlation_id(), Some("process-9"));
    assert_eq!(decision.events()[0].asked_by(), None);
}

/// Decides by when the command was given, and says something of its own.
struct Timely;

impl Decider<Pay> for Timely {
    fn decide(&self, _: &Pay) -> Result<Vec<NewEvent>, BoxError> {
        Err("when?".into())
    }

    fn decide_enveloped(&self, envelope: &Envelope<Pay>) -> Result<Vec<NewEvent>, BoxError> {
        let time = envelope.time.ok_or("no time")?;
        let event = NewEvent::raw("till.1", "paid", time.timestamp().to_string());
        Ok(vec![event.metadata("channel", "own").metadata(metadata::CAUSATION_ID, "forged")])
    }
}

#[fact]
pub async fn a_decider_sees_the_envelope(db: Database, _: TestClock) {
    let store = store(&db).await;
    let timed = pay([5]).id("request-1").time(DateTime::from_timestamp(17, 0).unwrap()).metadata("channel", "web");
    let decision = store.decide(&Model::new(Timely), &timed).await.unwrap();
    let [event] = decision.events() else { panic!() };
    assert_eq!(event.bytes(), b"17");
    assert_eq!((event.text_of("channel"), event.causation_id()), (Some("own"), Some("request-1")));
    assert!(matches!(store.decide(&Timely, &Pay(vec![5])).await, Err(EventStoreError::Decider { .. })));
}

#[fact]
pub async fn a_command_that_comes_twice_is_decided_on_once(db: Database, _: TestClock) {
    let store = store(&db).await;
    let mut till = Model::new(Till::default());
    let first = store.decide_and_evolve(&mut till, &pay([5, 7]).id("request-1")).await.unwrap();
    for outdated in [till.clone(), Model::new(Till::default())] {
        let before = asked(&outdated);
        let again = store.decide(&outdated, &pay([5, 7]).id("request-1")).await.unwrap();
        assert_eq!((again.events(), again.is_repeated()), (first.events(), true));
        assert_eq!(asked(&outdated), before, "nobody is asked again");
    }
    store.decide_and_evolve(&mut till, &pay([1]).id("request-2")).await.unwrap();
    let again = store.decide_and_evolve(&mut till, &pay([5, 7]).id("request-1")).await.unwrap();
    assert_eq!((sequences_of(&again), till.with(|till| till.cents)), (vec![1, 2], 13), "nothing evolves twice");
    assert_eq!(store.last_sequence().await.unwrap(), 3);
    // An id is a command's in a store, whatever an event is called.
    store.append(event("a.1", "x").id("request-3")).await.unwrap();
    assert!(!store.decide_and_evolve(&mut till, &pay([1]).id("request-3")).await.unwrap().is_repeated());
}

#[fact]
pub async fn what_was_refused_or_came_to_nothing_is_decided_on_anew(db: Database, _: TestClock) {
    let store = store(&db).await;
    let till = Model::new(Till::default());
    let refused = store.decide(&till, &pay([2000]).id("request-1")).await.unwrap_err();
    assert!(matches!(refused, EventStoreError::Decider { .. }), "{refused:?}");
    assert!(store.decide(&till, &pay([]).id("request-1")).await.unwrap().is_empty());
    assert_eq!(store.decide(&till, &pay([2]).id("request-1")).await.unwrap().last_sequence(), Some(1));
    let invalid = store.decide(&till, &pay([0]).id("request-2")).await.unwrap_err();
    assert!(matches!(invalid, EventStoreError::CommandInvalid { .. }), "{invalid:?}");
}

#[fact]
pub async fn the_id_of_a_command_is_not_that_of_another(db: Database, _: TestClock) {
    let store = store(&db).await;
    let till = Model::new(Till::default());
    store.decide(&till, &pay([2]).id("request-1").command_type("pay")).await.unwrap();
    for again in [pay([2]).id("request-1").command_type("refund"), pay([2]).id("request-1")] {
        let error = store.decide(&till, &again).await.unwrap_err();
        let EventStoreError::CommandIdTaken { id, first, again: told } = &error else { panic!("{error:?}") };
        assert_eq!((id.as_str(), first.as_deref(), told), ("request-1", Some("pay"), &again.command_type));
        assert!(!error.is_retryable());
    }
    for id in ["", "a\nb", &"x".repeat(256)] {
        let error = store.decide(&till, &pay([2]).id(id)).await.unwrap_err();
        assert!(matches!(error, EventStoreError::CommandInvalid { .. }), "{error:?}");
    }
    let longest = "ü".repeat(127);
    assert!(!store.decide(&Till::default(), &pay([2]).id(longest)).await.unwrap().is_empty());
}

#[fact]
pub async fn the_id_of_a_command_is_not_that_of_one_that_says_something_else(db: Database, _: TestClock) {
    let store = store(&db).await;
    let mut till = Model::new(Till::default());
    store.decide_and_evolve(&mut till, &pay([2]).id("request-1")).await.unwrap();
    let other = pay([3]).id("request-1");
    let error = store.decide(&till, &other).await.unwrap_err();
    assert!(matches!(&error, EventStoreError::CommandIdTaken { id, .. } if id == "request-1"), "{error:?}");
    assert!(error.to_string().ends_with("with another content"), "{error}");
    // Of two at once, too.
    let (first, second) = (pay([4]).id("request-2"), pay([5]).id("request-2"));
    let anyone = Till::default();
    let (first, second) = futures::join!(store.decide(&anyone, &first), store.decide(&anyone, &second));
    let (done, refused) = if first.is_ok() { (first, second) } else { (second, first) };
    assert_eq!(done.unwrap().events().len(), 1);
    assert!(matches!(refused, Err(EventStoreError::CommandIdTaken { .. })), "{refused:?}");
    // A row from before there were hashes tells of no content.
    db.transaction(|tx| async move {
        for (key, _) in tx.scan(KeyRange::prefix("log:"), 100_000).await? {
            if String::from_utf8_lossy(&key).ends_with(":command:request-1") {
                tx.system_keys().put(key, br#"{"sequences":[1]}"#.to_vec()).await?;
            }
        }
        Ok(())
    })
    .await
    .unwrap();
    assert!(store.decide(&till, &other).await.unwrap().is_repeated());
}

#[fact]
pub async fn many_that_send_one_command_at_once_all_get_what_one_of_them_did(db: Database, _: TestClock) {
    let store = store(&db).await;
    let other = Manager::new(db.clone()).get_event_store("bank").await.unwrap();
    let calls = (0..16).map(|number| {
        let store = if number % 2 == 0 { store.clone() } else { other.clone() };
        async move { store.decide(&Model::new(Till::default()), &pay([5, 7]).id("request-1")).await.unwrap() }
    });
    let decisions = futures::future::join_all(calls).await;
    assert!(decisions.iter().all(|decision| sequences_of(decision) == [1, 2]), "{decisions:?}");
    assert_eq!(decisions.iter().filter(|decision| !decision.is_repeated()).count(), 1);
    assert_eq!(store.last_sequence().await.unwrap(), 2);
}

#[fact]
pub async fn a_command_whose_outcome_was_lost_is_answered_with_it(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    let store = store(&db).await;
    db.faults().at(Call::Commit).unknown_after_effect();
    let till = Model::new(Till::default());
    let decision = store.decide(&till, &pay([5, 7]).id("request-1")).await.unwrap();
    assert_eq!(sequences_of(&decision), [1, 2]);
    let again = store.decide(&till, &pay([5, 7]).id("request-1")).await.unwrap();
    assert_eq!((again.events(), store.last_sequence().await.unwrap()), (decision.events(), 2));
}

#[fact]
pub async fn a_command_is_forgotten_with_the_last_of_its_events(db: Database, _: TestClock) {
    let manager = Manager::new(db.clone());
    let config = EventStoreConfig::new("bank").retention(Retention::default().events(3));
    let store = manager.create_event_store(config).await.unwrap();
    let decide = async |id: &str| store.decide(&Till::default(), &pay([5, 7]).id(id)).await.unwrap();
    decide("request-1").await;
    decide("request-2").await;
    manager.sweep().await.unwrap();
    assert_eq!(sequences(&store, Select::all()).await, [2, 3, 4]);
    let again = decide("request-1").await;
    assert_eq!((again.is_repeated(), sequences_of(&again)), (true, vec![2]), "what is left of it");
    store.append(event("a.1", "x")).await.unwrap();
    manager.sweep().await.unwrap();
    let anew = decide("request-1").await;
    assert_eq!((anew.is_repeated(), sequences_of(&anew)), (false, vec![6, 7]));
    store.append((0..10).map(|_| event("a.1", "x")).collect::<Vec<_>>()).await.unwrap();
    manager.sweep().await.unwrap();
    let tx = db.begin().await.unwrap();
    let left = tx.scan(KeyRange::prefix("log:"), 100_000).await.unwrap();
    let is_of_command = |key: &[u8]| String::from_utf8_lossy(key).contains(":command:");
    assert_eq!(left.iter().filter(|(key, _)| is_of_command(key)).count(), 0);
}

#[fact]
pub async fn models_are_folded_as_of_a_time(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let manager = Manager::new(db.clone());
    let store = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    let now = async || DateTime::from_timestamp_millis(db.now().await.unwrap().millis() as i64).unwrap();
    let begin = now().await;
    assert_eq!(store.sequence_at(begin).await.unwrap(), 0);
    let mut times = Vec::new();
    for _ in 0..9 {
        clock.advance(Duration::from_secs(10));
        // When it is said to have happened is no matter.
        store.append([event("a.1", "x").time(begin), event("a.1", "x")]).await.unwrap();
        times.push(now().await);
    }
    for (at, time) in times.iter().enumerate() {
        let last = 2 * (at as u64 + 1);
        assert_eq!(store.sequence_at(*time + Duration::from_secs(5)).await.unwrap(), last);
        assert_eq!(store.sequence_at(*time - Duration::from_secs(5)).await.unwrap(), last - 2);
        let mut seen = Seen::default();
        let until = store.sequence_at(*time + Duration::from_secs(1)).await.unwrap();
        store.evolve(&mut seen, Select::filter("a.1").up_to(until)).await.unwrap();
        assert_eq!(seen.0.len() as u64, last);
    }
    assert_eq!(store.sequence_at(DateTime::<Utc>::MAX_UTC).await.unwrap(), 18);
    assert_eq!(store.sequence_at(DateTime::<Utc>::MIN_UTC).await.unwrap(), 0);
    manager.update_event_store(EventStoreConfig::new("bank").retention(Retention::default().events(6))).await.unwrap();
    manager.sweep().await.unwrap();
    assert_eq!(store.sequence_at(times[3]).await.unwrap(), 0, "it was dropped");
    assert_eq!(store.sequence_at(times[7] + Duration::from_secs(1)).await.unwrap(), 16);
}

#[cfg(feature = "derive")]
mod as_bytes {
    use tito_eventstore::TitoEventType;
    use tito_eventstore::types::{Binary, Codec, Json, Registry};

    use super::*;

    #[derive(Clone, Debug, PartialEq, TitoEventType)]
    enum DoorCommand {
        Open { by: String },
        Close,
    }

    impl Command for DoorCommand {
        fn validate(&self) -> Result<(), BoxError> {
            if *self == (DoorCommand::Open { by: String::new() }) { Err("by nobody".into()) } else { Ok(()) }
        }
    }

    struct Door;

    impl Decider<DoorCommand> for Door {
        fn decide(&self, command: &DoorCommand) -> Result<Vec<NewEvent>, BoxError> {
            Ok(vec![NewEvent::raw("door.1", "told", format!("{command:?}"))])
        }
    }

    #[fact]
    pub async fn bytes_are_decoded_by_the_registry(db: Database, _: TestClock) {
        store(&db).await;
        let types = Registry::builder().command::<DoorCommand>().register::<Binary, String>("told", "so".to_string());
        let store = Manager::builder(db.clone()).types(types.build().unwrap()).build();
        let store = store.get_event_store("bank").await.unwrap();
        let open = Envelope::raw("open", r#"{"by":"ada"}"#).id("request-1").asked_by("grace");
        let decision = store.decide(&Door, &open).await.unwrap();
        let [event] = decision.events() else { panic!() };
        assert_eq!(event.bytes(), br#"Open { by: "ada" }"#);
        let texts = (event.causation_id(), event.text_of(metadata::COMMAND_TYPE), event.asked_by());
        assert_eq!(texts, (Some("request-1"), Some("open"), Some("grace")));
        assert!(store.decide(&Door, &open).await.unwrap().is_repeated());
        let other_bytes = Envelope::raw("open", r#"{"by":"grace"}"#).id("request-1");
        let taken = store.decide(&Door, &other_bytes).await.unwrap_err();
        assert!(matches!(taken, EventStoreError::CommandIdTaken { .. }), "{taken:?}");
        let same_members = Envelope::raw("open", r#"{ "by": "ada" }"#).id("request-1");
        assert!(store.decide(&Door, &same_members).await.unwrap().is_repeated());
        // As it is in Rust, it is the same command.
        let same = Envelope::new(DoorCommand::Close).id("request-1").command_type("open");
        assert!(store.decide(&Door, &same).await.unwrap().is_repeated());

        for (name, bytes) in [("open", "{"), ("open", r#"{"by":17}"#), ("open", r#"{"by":""}"#), ("open", "")] {
            let error = store.decide(&Door, &Envelope::raw(name, bytes)).await.unwrap_err();
            assert!(matches!(error, EventStoreError::CommandInvalid { .. }), "{bytes}: {error:?}");
        }
        let unknown = store.decide(&Door, &Envelope::raw("told", "x")).await.unwrap_err();
        assert!(matches!(&unknown, EventStoreError::TypeNotRegistered { event_type } if event_type == "told"));
        let bare = Manager::new(db).get_event_store("bank").await.unwrap();
        let unknown = bare.decide(&Door, &open).await.unwrap_err();
        assert!(matches!(unknown, EventStoreError::TypeNotRegistered { .. }), "{unknown:?}");
    }

    #[fact]
    pub async fn what_could_not_be_read_is_refused_before_and_at_the_append(db: Database, _: TestClock) {
        store(&db).await;
        let types = Registry::builder().register::<Json, u64>("counted", 17).build().unwrap();
        let manager = Manager::builder(db).types(types.clone()).build();
        let store = manager.get_event_store("bank").await.unwrap();
        let event = |name: &str, version, codec, bytes: &str| NewEvent::encoded("a.1", name, version, codec, bytes);
        let bad = [
            event("said", 1, Codec::Json, "17"),
            event("counted", 2, Codec::Json, "17"),
            event("counted", 0, Codec::Json, "17"),
            event("counted", 1, Codec::Binary, "17"),
            event("counted", 1, Codec::Json, "seventeen"),
            event("counted", 1, Codec::Json, ""),
        ];
        for event in bad {
            let tried = types.check_event(&event).unwrap_err();
            assert_eq!(store.append(event).await.unwrap_err().to_string(), tried.to_string());
        }
        let good = event("counted", 1, Codec::Json, "17");
        types.check_event(&good).unwrap();
        store.append(good).await.unwrap();
        assert_eq!(types.data::<u64>(&read(&store, "a.1").await[0]).unwrap(), 17);
    }
}
