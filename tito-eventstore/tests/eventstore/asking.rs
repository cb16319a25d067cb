//! Watchers that ask what to do about an event.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tito_core::BoxError;
use tito_core::clock::Clock;
use tito_core::prelude::*;
use tito_eventstore::{Event, EventStoreError, Evolver, Model, OnError, Watch, WatchError};
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};

use crate::support::*;

/// What a handler was told: the sequence, the type of the event where there was one, and the attempt.
type Told = Arc<Mutex<Vec<(Option<u64>, Option<String>, u32)>>>;

/// A handler that notes what it is told, and answers by it.
fn noting(
    answer: impl Fn(&WatchError<'_>) -> OnError + Send + Sync + 'static,
) -> (Told, impl Fn(&WatchError<'_>) -> OnError + Send + Sync + 'static) {
    let told = Told::default();
    let noted = told.clone();
    let handler = move |met: &WatchError<'_>| {
        assert_eq!(met.event.map(Event::sequence).or(met.sequence), met.sequence);
        assert!(met.sequence.is_none() || met.error.sequence() == met.sequence, "{met}");
        let event_type = met.event.map(|event| event.event_type().to_string());
        noted.lock().unwrap().push((met.sequence, event_type, met.attempt));
        answer(met)
    };
    (told, handler)
}

/// Lets time go on until something has come of it.
async fn turn_until(clock: &TestClock, is_done: impl Fn() -> bool) {
    while !is_done() {
        clock.advance(Duration::from_millis(200));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn seen(except: &[u64], up_to: u64) -> Seen {
    Seen((1..=up_to).filter(|sequence| !except.contains(sequence)).collect())
}

#[fact]
pub async fn a_watcher_passes_over_what_it_is_told_to(db: Database, _: TestClock) {
    // While it catches up, and while it follows.
    for catches_up in [true, false] {
        let counting = Counting::new(&db).await;
        let (told, handler) = noting(|_| OnError::Skip);
        let watch = || Watch::filter("a.1").on_error(handler);
        let fill = async {
            counting.append(14, &[1, 2, 11, 14]).await;
            damage(&db, 4).await;
            damage(&db, 5).await;
        };
        let watcher = if catches_up {
            fill.await;
            counting.store.watch(Seen::default(), watch()).await.unwrap()
        } else {
            fill.await;
            counting.store.watch(Seen::default(), watch().no_wait()).await.unwrap()
        };
        let last = counting.old.append([event("a.1", "poison"), event("a.1", "x")]).await.unwrap();
        assert!(watcher.reached(last).await);
        assert_eq!(watcher.stop().await.unwrap(), seen(&[1, 2, 4, 5, 11, 14, 15], 16));
        let sequences: Vec<_> = told.lock().unwrap().clone();
        let of = |sequence, event_type: Option<&str>| (Some(sequence), event_type.map(str::to_string), 1);
        let counted = Some("counted");
        let expected = [
            of(1, counted),
            of(2, counted),
            of(4, None),
            of(5, None),
            of(11, counted),
            of(14, counted),
            of(15, Some("poison")),
        ];
        assert_eq!(sequences, expected);
        counting.delete().await;
    }
}

#[fact]
pub async fn a_watcher_without_a_handler_stops_before_an_event_that_can_not_be_read(db: Database, _: TestClock) {
    for (is_damaged, catches_up) in [(false, false), (false, true), (true, false), (true, true)] {
        let counting = Counting::new(&db).await;
        counting.append(14, if is_damaged { &[] } else { &[11] }).await;
        if is_damaged {
            damage(&db, 11).await;
        }
        let model = Model::new(Seen::default());
        let error = if catches_up {
            counting.store.watch(model.clone(), "a.1").await.unwrap_err()
        } else {
            let watcher = counting.store.watch(model.clone(), Watch::filter("a.1").no_wait()).await.unwrap();
            assert!(watcher.reached(10).await);
            assert!(!watcher.reached(11).await);
            watcher.stop().await.map(|_| ()).unwrap_err()
        };
        assert_eq!((error.sequence(), error.entity()), (Some(11), Some("a.1".to_string())), "{error:?}");
        assert_eq!(model.with(Clone::clone), seen(&[], 10));
        counting.delete().await;
    }
}

#[fact]
pub async fn a_handler_can_end_a_watcher(db: Database, _: TestClock) {
    let store = store(&db).await;
    let stops = |met: &WatchError<'_>| if met.sequence == Some(4) { OnError::Stop } else { OnError::Skip };
    let watcher = store.watch(Seen::default(), Watch::filter("a.1").on_error(stops)).await.unwrap();
    store.append(["x", "poison", "x", "poison", "x"].map(|event_type| event("a.1", event_type))).await.unwrap();
    assert!(watcher.reached(3).await);
    assert!(!watcher.reached(4).await);
    let error = watcher.stop().await.unwrap_err();
    assert!(matches!(error, EventStoreError::Evolver { sequence: 4, .. }), "{error:?}");
    let error = store.watch(Seen::default(), Watch::filter("a.1").on_error(stops)).await.unwrap_err();
    assert!(matches!(error, EventStoreError::Evolver { sequence: 4, .. }), "{error:?}");
}

/// A model that fails until it is mended.
struct Mended(Arc<AtomicBool>, Vec<u64>);

impl Evolver for Mended {
    fn evolve(&mut self, event: &Event) -> Result<(), BoxError> {
        if event.event_type() == "poison" && !self.0.load(Ordering::SeqCst) {
            return Err("not yet".into());
        }
        self.1.push(event.sequence());
        Ok(())
    }
}

#[fact]
pub async fn a_watcher_tries_again_at_growing_intervals(db: Database, clock: TestClock) {
    let (store, is_mended) = (store(&db).await, Arc::new(AtomicBool::new(false)));
    let (told, handler) = noting(|_| OnError::TryAgain);
    let (times, by) = (Arc::new(Mutex::new(Vec::new())), clock.clone());
    let noted = times.clone();
    let handler = move |met: &WatchError<'_>| {
        noted.lock().unwrap().push(by.now_millis());
        handler(met)
    };
    let model = Mended(is_mended.clone(), Vec::new());
    let watcher = store.watch(model, Watch::filter("a.1").on_error(handler)).await.unwrap();
    store.append(["x", "poison", "x", "poison"].map(|event_type| event("a.1", event_type))).await.unwrap();
    assert!(watcher.reached(1).await);
    turn_until(&clock, || told.lock().unwrap().len() == 8).await;
    let rests: Vec<_> = times.lock().unwrap().windows(2).map(|pair| pair[1] - pair[0]).collect();
    let doubled = [200, 400, 800, 1600, 3200, 6400, 12_800];
    assert!(rests.iter().zip(doubled).all(|(rest, at_least)| *rest >= at_least), "{rests:?}");
    is_mended.store(true, Ordering::SeqCst);
    turn_until(&clock, || watcher.position() == 4).await;
    assert_eq!(watcher.stop().await.unwrap().1, [1, 2, 3, 4]);
    let attempts: Vec<_> = told.lock().unwrap().iter().map(|(sequence, _, attempt)| (*sequence, *attempt)).collect();
    assert_eq!(attempts, (1..=8).map(|attempt| (Some(2), attempt)).collect::<Vec<_>>());
}

#[fact]
pub async fn a_watcher_that_tries_again_finds_an_event_repaired(db: Database, clock: TestClock) {
    let is_mended = Arc::new(AtomicBool::new(false));
    let asked = is_mended.clone();
    let upcast = move |bytes: &[u8]| {
        if asked.load(Ordering::SeqCst) || bytes != b"poison" { Ok(b"17".to_vec()) } else { Err("not yet".into()) }
    };
    let counting = Counting::with_upcaster(&db, upcast).await;
    counting.append(14, &[5]).await;
    let were = damage(&db, 11).await;
    let (told, handler) = noting(|met| if met.attempt < 3 { OnError::TryAgain } else { OnError::Skip });
    let watch = Watch::filter("a.1").no_wait().on_error(handler);
    let watcher = counting.store.watch(Seen::default(), watch).await.unwrap();
    assert!(watcher.reached(4).await);
    is_mended.store(true, Ordering::SeqCst);
    turn_until(&clock, || watcher.position() == 10).await;
    repair(&db, were).await;
    turn_until(&clock, || watcher.position() == 14).await;
    assert_eq!(watcher.stop().await.unwrap(), seen(&[], 14));
    let attempts: Vec<_> = told.lock().unwrap().iter().map(|(sequence, _, attempt)| (*sequence, *attempt)).collect();
    assert_eq!(attempts, [(Some(5), 1), (Some(11), 1)]);
}

#[fact]
pub async fn attempts_are_counted_for_each_event_and_then_given_up(db: Database, clock: TestClock) {
    let counting = Counting::new(&db).await;
    counting.append(14, &[3, 4]).await;
    let (told, handler) = noting(|met| if met.attempt < 3 { OnError::TryAgain } else { OnError::Skip });
    // While it catches up too.
    let watching = tokio::spawn({
        let store = counting.store.clone();
        async move { store.watch(Seen::default(), Watch::filter("a.1").on_error(handler)).await }
    });
    turn_until(&clock, || watching.is_finished()).await;
    let watcher = watching.await.unwrap().unwrap();
    assert_eq!(watcher.position(), 14);
    assert_eq!(watcher.stop().await.unwrap(), seen(&[3, 4], 14));
    let attempts: Vec<_> = told.lock().unwrap().iter().map(|(sequence, _, attempt)| (*sequence, *attempt)).collect();
    assert_eq!(attempts, [3, 4].map(|sequence| [1, 2, 3].map(|attempt| (Some(sequence), attempt))).concat());
}

#[fact]
pub async fn a_watcher_that_is_stopped_makes_one_more_attempt(db: Database, clock: TestClock) {
    let store = store(&db).await;
    let (told, handler) = noting(|_| OnError::TryAgain);
    let watcher = store.watch(Seen::default(), Watch::filter("a.1").on_error(handler)).await.unwrap();
    store.append([event("a.1", "x"), event("a.1", "poison")]).await.unwrap();
    turn_until(&clock, || told.lock().unwrap().len() == 1).await;
    let error = watcher.stop().await.unwrap_err();
    assert!(matches!(error, EventStoreError::Evolver { sequence: 2, .. }), "{error:?}");
    assert_eq!(told.lock().unwrap().len(), 2);
    // One that is mended by then is drained, whatever is appended meanwhile.
    let is_mended = Arc::new(AtomicBool::new(false));
    let watch = Watch::filter("a.1").on_error(|_| OnError::TryAgain).no_wait();
    let watcher = store.watch(Mended(is_mended.clone(), Vec::new()), watch).await.unwrap();
    assert!(watcher.reached(1).await);
    is_mended.store(true, Ordering::SeqCst);
    store.append(event("a.1", "x")).await.unwrap();
    assert_eq!(watcher.stop().await.unwrap().1, [1, 2, 3]);
}

#[fact]
pub async fn a_watcher_that_is_dropped_while_it_rests_is_gone(db: Database, clock: TestClock) {
    let store = store(&db).await;
    store.append(event("a.1", "poison")).await.unwrap();
    let (told, handler) = noting(|_| OnError::TryAgain);
    let watch = Watch::filter("a.1").on_error(handler);
    let model = Arc::new(());
    let held = |model: &Arc<()>| Arc::strong_count(model) - 1;
    let watcher = store.watch(Held(model.clone()), watch.no_wait()).await.unwrap();
    turn_until(&clock, || told.lock().unwrap().len() == 1).await;
    drop(watcher);
    turn_until(&clock, || held(&model) == 0).await;
    // Nor is anything left of one that was not waited for until it had caught up.
    let (told, handler) = noting(|_| OnError::TryAgain);
    let mut catching_up = Box::pin(store.watch(Held(model.clone()), Watch::filter("a.1").on_error(handler)));
    while told.lock().unwrap().is_empty() {
        assert!(futures::poll!(&mut catching_up).is_pending());
        tokio::task::yield_now().await;
    }
    drop(catching_up);
    assert_eq!(held(&model), 0);
}

/// A model that can't evolve, and tells whether it is still there.
struct Held(#[allow(dead_code, reason = "it is counted")] Arc<()>);

impl Evolver for Held {
    fn evolve(&mut self, _: &Event) -> Result<(), BoxError> {
        Err("never".into())
    }
}

#[fact]
pub async fn a_handler_is_told_of_the_engine_and_can_end_its_watcher(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    let store = store(&db).await;
    let (told, handler) = noting(|met| if met.attempt < 3 { OnError::Skip } else { OnError::Stop });
    let watcher = store.watch(Seen::default(), Watch::filter("a").on_error(handler)).await.unwrap();
    let always = db.faults().at(Call::Scan).always();
    always.storage_error();
    store.append(event("a.1", "x")).await.unwrap();
    clock.advance(Duration::from_secs(1));
    assert!(!watcher.reached(1).await);
    let error = watcher.stop().await.unwrap_err();
    assert!(matches!(&error, EventStoreError::Engine(_)), "{error:?}");
    assert_eq!(*told.lock().unwrap(), [1, 2, 3].map(|attempt| (None, None, attempt)));
}
