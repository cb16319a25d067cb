//! Entities are erased, and nobody sees more of them than that sequences are passed over.

use tito_core::BoxError;
use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_eventstore::keys;
use tito_eventstore::{
    Command, Decider, Envelope, ErasedEntities, Event, EventStore, EventStoreConfig, EventStoreError, Evolver, Manager,
    NewEvent, Republish, Retention, Select, Snapshot, Watch,
};
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};

use crate::support::*;

async fn stored(db: &Database, prefix: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let tx = db.begin().await.unwrap();
    let found = tx.scan(KeyRange::prefix(prefix), 100_000).await.unwrap();
    tx.rollback().await;
    found
}

/// Everything there is of stores, as text as far as it is.
async fn text(db: &Database) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    stored(db, "log:").await.iter().map(|(key, value)| format!("{} = {}", text(key), text(value))).collect()
}

async fn is_gone(store: &EventStore, pattern: &str) -> bool {
    let remaining = store.remains(pattern).await.unwrap();
    assert_eq!(remaining.unreadable, 0);
    remaining.is_nothing()
}

/// What was erased: events, entities and snapshots.
fn counts(erased: &ErasedEntities) -> (u64, u64, u64) {
    (erased.events, erased.entities, erased.snapshots)
}

async fn append(store: &EventStore, entities: &[&str]) {
    for (number, entity) in entities.iter().enumerate() {
        let personal = NewEvent::raw(*entity, "noted", format!("secret of {entity}"));
        store.append(personal.id(format!("{entity}-{number}")).metadata("who", *entity)).await.unwrap();
    }
}

#[fact]
pub async fn what_is_left_is_searched_for_page_by_page(db: Database, _: TestClock) {
    let store = store(&db).await;
    for _ in 0..3 {
        for entity in ["person.ada", "person.bob"] {
            store.append(vec![event(entity, "noted"); 100]).await.unwrap();
        }
    }
    let mut search = store.searching_entities("person.ada").unwrap();
    let mut pages = 0;
    while search.step().await.unwrap() {
        pages += 1;
        assert!(search.so_far().read <= 200 * pages);
        if pages == 4 {
            // What was read by then counts, and another search finds none of it.
            store.erase("person.ada").await.unwrap();
        }
    }
    let found = search.so_far();
    assert!(pages > 5 && found.read == 600 && found.events >= 300, "{pages} pages: {found:?}");
    assert!(is_gone(&store, "person.ada").await);
    let of_a_pattern = store.searching_entities("person.ada.noted").unwrap_err();
    assert!(matches!(of_a_pattern, EventStoreError::PatternInvalid { .. }), "{of_a_pattern}");
}

#[fact]
pub async fn an_erased_event_is_passed_over_and_its_sequence_stays(db: Database, _: TestClock) {
    let store = store(&db).await;
    append(&store, &["person.ada", "person.bob", "person.ada", "thing.1", "person.ada"]).await;
    let others = read(&store, Select::filter("person.bob").or("thing")).await;
    let watched = store.watch(Seen::default(), Watch::all()).await.unwrap();
    watched.reached(5).await;
    let erased = store.erase("person.ada").await.unwrap();
    assert_eq!(counts(&erased), (3, 1, 0));
    assert!(is_gone(&store, "person.ada").await);

    assert_eq!(read(&store, Select::all()).await, others);
    assert_eq!(sequences(&store, "person").await, [2]);
    assert_eq!(sequences(&store, "person.ada").await, NONE);
    assert_eq!(sequences(&store, Select::all().after(2).up_to(3)).await, NONE);
    for (sequence, is_there) in [(1, false), (2, true), (3, false), (4, true), (5, false)] {
        assert_eq!(store.event(sequence).await.unwrap().is_some(), is_there, "{sequence}");
    }
    let mut seen = Seen::default();
    assert_eq!(store.evolve(&mut seen, Select::all()).await.unwrap(), 4);
    assert_eq!(seen, Seen(vec![2, 4]));
    let (again, whole) =
        (store.watch(Seen::default(), Watch::all()).await.unwrap(), store.last_sequence().await.unwrap());
    assert_eq!(whole, 5);
    assert!(again.reached(5).await, "it is past the last placeholder");
    assert_eq!(again.stop().await.unwrap(), Seen(vec![2, 4]));
    for row in text(&db).await {
        assert!(!row.contains("ada"), "{row}");
    }

    // It goes on, for others and for an entity that never was; also in a process that has appended to it before.
    let anew = NewEvent::raw("person.ada", "noted", "again").id("person.ada-0").expect_sequence(0);
    assert_eq!(store.append(anew).await.unwrap(), 6);
    let stale = NewEvent::raw("person.ada", "noted", "stale").expect_sequence(5);
    let error = store.append(stale).await.unwrap_err();
    assert!(matches!(error, EventStoreError::SequenceConflict { expected: 5, actual: 6, .. }), "{error}");
    assert_eq!(store.append(event("person.bob", "noted").expect_sequence(2)).await.unwrap(), 7);
    assert_eq!(sequences(&store, "person").await, [2, 6, 7]);
    watched.reached(7).await;
    assert_eq!(watched.stop().await.unwrap().0.len(), 7, "what a program has in memory is its own");
    assert_eq!(counts(&store.erase("person.ada").await.unwrap()), (1, 1, 0));
    assert_eq!(counts(&store.erase("person.ada").await.unwrap()), (0, 0, 0));
}

#[fact]
pub async fn patterns_select_entities_and_no_beginnings_of_them(db: Database, _: TestClock) {
    let store = store(&db).await;
    let entities = [
        "a.1",
        "a.11",
        "a.1:",
        "a.1;",
        "a.:",
        "a.1!",
        "a.é",
        "a.🎈",
        "ab.1",
        "a:.1",
        "b.1",
        "a.2",
        &format!("a.{}", "x".repeat(240)),
    ];
    append(&store, &entities).await;
    for (number, entity) in entities.iter().enumerate().skip(3).take(5) {
        assert_eq!(counts(&store.erase(entity).await.unwrap()), (1, 1, 0), "{entity}");
        assert!(is_gone(&store, entity).await);
        assert_eq!(sequences(&store, *entity).await, NONE);
        assert_eq!(sequences(&store, Select::all()).await.len(), entities.len() - (number - 2));
    }
    assert_eq!(counts(&store.erase("*.1").await.unwrap()), (4, 4, 0));
    assert!(is_gone(&store, "*.1").await && !is_gone(&store, "a").await);
    assert_eq!(counts(&store.erase("a").await.unwrap()), (4, 4, 0));
    assert_eq!(sequences(&store, Select::all()).await, NONE);
    assert_eq!(store.info().await.unwrap().last_sequence, entities.len() as u64);
    for wrong in ["a.1.noted", "a.b.c.d", "a..", ""] {
        for error in [store.erase(wrong).await.unwrap_err(), store.remains(wrong).await.unwrap_err()] {
            use EventStoreError::{PatternInvalid, SubjectTooManyTokens};
            assert!(matches!(error, PatternInvalid { .. } | SubjectTooManyTokens { .. }), "{wrong}: {error}");
        }
    }
}

/// Remembers the texts of events, with a snapshot after every one.
#[derive(Clone, Debug, Default)]
struct Texts(String);

impl Evolver for Texts {
    fn evolve(&mut self, event: &Event) -> Result<(), BoxError> {
        self.0 += std::str::from_utf8(event.bytes())?;
        Ok(())
    }

    fn as_snapshot(&mut self) -> Option<&mut dyn Snapshot> {
        Some(self)
    }
}

impl Snapshot for Texts {
    fn name(&self) -> String {
        "texts".to_string()
    }

    fn every(&self) -> u64 {
        1
    }

    fn save(&self) -> Result<Vec<u8>, BoxError> {
        Ok(self.0.clone().into_bytes())
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), BoxError> {
        self.0 = String::from_utf8(state.to_vec())?;
        Ok(())
    }
}

#[fact]
pub async fn snapshots_that_may_have_something_of_an_entity_go_with_it(db: Database, _: TestClock) {
    let store = store(&db).await;
    append(&store, &["person.ada", "person.bob", "thing.1"]).await;
    for select in ["person.ada", "person.bob", "person", "*.ada", "*.1", "thing"] {
        store.evolve(&mut Texts::default(), select).await.unwrap();
    }
    store.evolve(&mut Texts::default(), Select::all()).await.unwrap();
    store.evolve(&mut Texts::default(), Select::filter("person.bob").or("person.ada")).await.unwrap();
    assert_eq!(store.remains("person.ada").await.unwrap().snapshots, 5);
    assert_eq!(counts(&store.erase("person.ada").await.unwrap()), (1, 1, 5));
    assert!(is_gone(&store, "person.ada").await);
    assert_eq!(stored(&db, "log:").await.iter().filter(|(key, _)| keys::parse_log_snapshot(key).is_some()).count(), 3);
    assert!(text(&db).await.iter().all(|row| !row.contains("ada")));
    let mut texts = Texts::default();
    store.evolve(&mut texts, Select::all()).await.unwrap();
    assert_eq!(texts.0, "secret of person.bobsecret of thing.1");
}

#[fact]
pub async fn what_was_read_before_an_erasure_leaves_no_snapshot(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    let store = store(&db).await;
    append(&store, &["person.ada", "person.bob"]).await;
    let saving = db.faults().at(Call::Commit).key_prefix(format!("{}snapshot:", prefix(&db).await)).nth(1).hold();
    let evolving = tokio::spawn({
        let store = store.clone();
        async move {
            let mut texts = Texts::default();
            store.evolve(&mut texts, Select::all()).await.unwrap();
            texts.0
        }
    });
    saving.arrivals(1).await;
    assert_eq!(counts(&store.erase("person.ada").await.unwrap()), (1, 1, 0));
    saving.open();
    assert!(evolving.await.unwrap().contains("ada"), "it was read before");
    assert!(is_gone(&store, "person.ada").await);
    assert!(text(&db).await.iter().all(|row| !row.contains("ada")));
}

async fn prefix(db: &Database) -> String {
    let (key, _) = stored(db, "log:").await.remove(0);
    String::from_utf8(key[..21].to_vec()).unwrap()
}

struct Till;
struct Pay;

impl Command for Pay {}

impl Decider<Pay> for Till {
    fn decide(&self, _: &Pay) -> Result<Vec<NewEvent>, BoxError> {
        Ok(vec![event("person.ada", "paid"), event("person.bob", "got")])
    }
}

#[fact]
pub async fn a_command_is_known_as_long_as_one_of_its_events_is_left(db: Database, _: TestClock) {
    let store = store(&db).await;
    let pay = Envelope::new(Pay).id("pay-1");
    assert_eq!(store.decide(&Till, &pay).await.unwrap().events().len(), 2);
    store.erase("person.ada").await.unwrap();
    let again = store.decide(&Till, &pay).await.unwrap();
    assert!(again.is_repeated());
    assert_eq!(again.events().iter().map(Event::entity).collect::<Vec<_>>(), ["person.bob"]);
    store.erase("person.bob").await.unwrap();
    assert!(text(&db).await.iter().all(|row| !row.contains("pay-1")));
    assert!(!store.decide(&Till, &pay).await.unwrap().is_repeated());
}

#[fact]
pub async fn an_erasure_of_entities_that_is_interrupted_anywhere_is_finished_by_another(db: Database, _: TestClock) {
    for is_unknown in [false, true] {
        for n in 1.. {
            let db = FaultEngine::new(db.clone()).database();
            let manager = Manager::new(db.clone());
            let store = manager.create_event_store(EventStoreConfig::new(format!("s{is_unknown}{n}"))).await.unwrap();
            let events = |entity: &str, count| (0..count).map(|_| event(entity, "x")).collect::<Vec<_>>();
            store.append(events("a.1", 150)).await.unwrap();
            store.append(events("a.2", 3)).await.unwrap();
            store.append(events("a.1", 90)).await.unwrap();
            store.evolve(&mut Texts::default(), "a.1").await.unwrap();
            let commit = db.faults().at(Call::Commit).nth(n);
            let is_interrupted = if is_unknown {
                commit.unknown_after_effect();
                store.erase("a.1").await.is_err()
            } else {
                let gate = commit.hold();
                tokio::select! {
                    biased;
                    () = gate.arrivals(1) => true,
                    erased = store.erase("a.1") => erased.is_err(),
                }
            };
            db.faults().clear();
            let rest = store.erase("a.1").await.unwrap();
            assert!(is_gone(&store, "a.1").await, "{is_unknown} {n}");
            assert_eq!(sequences(&store, Select::all()).await, [151, 152, 153]);
            if !is_interrupted {
                assert!(n > 4, "three steps of events, one of the entity, one of snapshots: {n}");
                assert_eq!(counts(&rest), (0, 0, 0));
                break;
            }
        }
    }
}

#[fact]
pub async fn a_step_erases_at_most_100_events(db: Database, _: TestClock) {
    let store = store(&db).await;
    store.append((0..250).map(|number| event(&format!("a.{}", number % 7), "x")).collect::<Vec<_>>()).await.unwrap();
    let mut erasure = store.erasing("a").unwrap();
    let (mut before, mut steps) = (0, 0);
    while erasure.step().await.unwrap() {
        let events = erasure.so_far().events;
        assert!(events - before <= 100);
        (before, steps) = (events, steps + 1);
    }
    assert!(steps >= 4);
    assert_eq!(counts(&erasure.so_far()), (250, 7, 0));
    assert!(!erasure.step().await.unwrap());
}

#[fact]
pub async fn limits_drop_placeholders_like_events(db: Database, _: TestClock) {
    let manager = Manager::new(db.clone());
    let config = EventStoreConfig::new("bank");
    let store = manager.create_event_store(config.clone().retention(Retention::default().events(100))).await.unwrap();
    append(&store, &["person.ada", "person.bob", "person.ada", "person.bob"]).await;
    store.erase("person.ada").await.unwrap();
    let bytes: usize =
        stored(&db, &format!("{}event:", prefix(&db).await)).await.iter().map(|(_, value)| value.len()).sum();
    assert_eq!(store.info().await.unwrap().bytes, bytes as u64);
    manager.update_event_store(config.clone().retention(Retention::default().events(1))).await.unwrap();
    manager.sweep().await.unwrap();
    let info = store.info().await.unwrap();
    assert_eq!((info.first_sequence, info.events), (4, 1));
    assert_eq!(sequences(&store, Select::all()).await, [4]);
    // What is noted of dropped events of an entity goes with it.
    store.erase("person.bob").await.unwrap();
    assert!(is_gone(&store, "person.bob").await);
    assert!(text(&db).await.iter().all(|row| !row.contains("bob") && !row.contains("ada")));
    assert_eq!(store.append(event("thing.1", "x")).await.unwrap(), 5);
    manager.sweep().await.unwrap();
    let info = store.info().await.unwrap();
    assert_eq!((info.first_sequence, info.events), (5, 1));
    let bytes: usize =
        stored(&db, &format!("{}event:", prefix(&db).await)).await.iter().map(|(_, value)| value.len()).sum();
    assert_eq!(info.bytes, bytes as u64);
}

#[fact]
pub async fn times_and_rules_pass_over_placeholders(db: Database, clock: TestClock) {
    let manager = Manager::new(db.clone());
    let store = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    let mut times = Vec::new();
    for entity in ["person.ada", "person.bob", "person.ada"] {
        store.append(event(entity, "noted")).await.unwrap();
        times.push(store.database().now().await.unwrap().seconds());
        clock.advance(std::time::Duration::from_secs(10));
    }
    store.erase("person.ada").await.unwrap();
    for (number, second) in times.into_iter().enumerate() {
        let at = chrono::DateTime::from_timestamp(second + 5, 0).unwrap();
        assert_eq!(store.sequence_at(at).await.unwrap(), number as u64 + 1);
    }
    let config = EventStoreConfig::new("bank").republish_by(Republish::to("people").after(0));
    manager.update_event_store(config).await.unwrap();
    manager.sweep().await.unwrap();
    assert_eq!(stored(&db, "event:people:").await.len(), 1);
}

/// What a rule publishes is the outbox's, and is erased there.
#[fact]
pub async fn what_a_rule_publishes_can_belong_to_the_entity(db: Database, _: TestClock) {
    let manager = Manager::new(db.clone());
    let owned = Republish::to("owned").owned();
    let config = EventStoreConfig::new("bank").republish_by(owned.clone()).republish_by(Republish::to("plain"));
    let config = config.republish("all").republish_owned();
    let store = manager.create_event_store(config.clone()).await.unwrap();
    let info = store.info().await.unwrap();
    assert_eq!((&info.republishing[0].rule, info.republish_owned), (&owned, true));
    let long = format!("{0}.{0}", "x".repeat(255));
    for entity in ["person.ada", "person.ada", "person.ad", &long] {
        store.append(event(entity, "noted")).await.unwrap();
    }
    assert_eq!(stored(&db, "!owned:").await.len(), 8);
    let queue = tito_worker::TitoQueue::new(db.clone());
    store.erase("person.ada").await.unwrap();
    assert_eq!(queue.erase_owner("person.ada").await.unwrap().due, 4);
    assert!(queue.search_owner("person.ada").await.unwrap().is_nothing());
    let counts = async || {
        let [owned, all, plain] =
            ["event:owned:", "event:all:", "event:plain:"].map(async |prefix| stored(&db, prefix).await.len());
        (owned.await, all.await, plain.await)
    };
    assert_eq!(counts().await, (2, 2, 4));
    // A store that was told otherwise names nobody from then on.
    manager.update_event_store(EventStoreConfig::new("bank").republish("all")).await.unwrap();
    store.append(event("person.ada", "noted")).await.unwrap();
    assert!(queue.search_owner("person.ada").await.unwrap().is_nothing());
    assert_eq!(counts().await, (2, 3, 4));
}

#[fact]
pub async fn a_damaged_event_of_an_entity_is_erased_too(db: Database, _: TestClock) {
    let store = store(&db).await;
    append(&store, &["person.ada", "person.bob"]).await;
    let tx = db.begin().await.unwrap();
    for (key, value) in stored(&db, "log:").await {
        if value.starts_with(&[1]) && String::from_utf8_lossy(&value).contains("ada") {
            tx.system_keys().put(key, b"nonsense".to_vec()).await.unwrap();
        }
    }
    tx.commit().await.unwrap();
    assert_eq!(store.remains("person.ada").await.unwrap().unreadable, 1);
    assert_eq!(store.erase("person.ada").await.unwrap().events, 1);
    assert!(is_gone(&store, "person.ada").await);
    assert_eq!(sequences(&store, Select::all()).await, [2]);
}

#[fact]
pub async fn a_store_that_is_not_there_any_more_has_nothing_to_erase(db: Database, _: TestClock) {
    let store = store(&db).await;
    append(&store, &["person.ada"]).await;
    Manager::new(db.clone()).delete_event_store("bank").await.unwrap();
    let error = store.erase("person.ada").await.unwrap_err();
    assert!(matches!(error, EventStoreError::StoreNotFound { .. }), "{error}");
}
