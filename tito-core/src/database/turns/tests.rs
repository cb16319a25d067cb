//! Turns under a clock that stands still while anybody has something to do: what waits in vain shows in the time.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::panic::Location;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use futures::poll;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::{Instant, sleep, timeout};

use super::table::{LONGEST_TURN, Turns};
use super::{PlaceInLine, Site};

const KEYS: u8 = 4;

fn site() -> Site {
    Location::caller()
}

fn key(number: u8) -> Vec<u8> {
    vec![number]
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A transaction: what each of its runs loses, how long each takes, and after how long it is dropped.
#[derive(Clone, Debug)]
struct Life {
    begins: u64,
    runs: Vec<(Vec<u8>, u64)>,
    is_dropped_after: Option<u64>,
}

fn life() -> impl Strategy<Value = Life> {
    let runs = vec((vec(0..KEYS, 1..3), 0..30_u64), 1..4);
    (0..50_u64, runs, proptest::option::weighted(0.3, 0..200_u64)).prop_map(|(begins, runs, is_dropped_after)| Life {
        begins,
        runs,
        is_dropped_after,
    })
}

/// Which transaction runs with the turn on a key.
type Running = Arc<Mutex<BTreeMap<u8, usize>>>;

/// Takes a transaction's keys out of what runs, however its run ends.
struct Run(Running, usize);

impl Drop for Run {
    fn drop(&mut self) {
        self.0.lock().unwrap().retain(|_, holder| *holder != self.1);
    }
}

async fn live(turns: &Turns, number: usize, life: &Life, running: &Running) {
    sleep(millis(life.begins)).await;
    let mut place = PlaceInLine::new(turns, site());
    let mut lost = Vec::new();
    for (keys, takes) in &life.runs {
        lost.extend(keys);
        place.take(keys.iter().map(|number| key(*number)).collect()).await;
        let _run = Run(running.clone(), number);
        for key in &lost {
            let other = running.lock().unwrap().insert(*key, number);
            assert!(other.is_none_or(|other| other == number), "{other:?} and {number} both have the turn on {key}");
        }
        place.scope(sleep(millis(*takes))).await;
    }
}

/// Runs it under a clock that stands still.
fn simulated<T>(simulation: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(simulation)
}

proptest! {
    #[test]
    fn no_two_run_with_the_turn_on_one_key_and_nobody_waits_for_nothing(lives in vec(life(), 1..12)) {
        simulated(async {
            let (turns, running) = (Turns::default(), Running::default());
            let longest = lives.iter().flat_map(|life| &life.runs).map(|(_, takes)| millis(*takes)).sum::<Duration>();
            let began = Instant::now();
            join_all(lives.iter().enumerate().map(|(number, life)| {
                let lived = live(&turns, number, life, &running);
                async {
                    match life.is_dropped_after {
                        Some(after) => drop(timeout(millis(after), lived).await),
                        None => lived.await,
                    }
                }
            }))
            .await;
            // As if all had run one after the other: no turn was passed on for its age, which takes longer.
            assert!(began.elapsed() <= longest + millis(250), "{:?} of {longest:?}", began.elapsed());
            assert!(turns.is_empty(), "{turns:?}");
        });
    }

    #[test]
    fn turns_come_in_the_order_of_the_first_loss(mut begins in vec(0..1_000_u64, 1..30), takes in 1..60_u64) {
        begins.sort_unstable();
        begins.dedup();
        simulated(async {
            let (turns, order) = (Turns::default(), Mutex::new(Vec::new()));
            join_all(begins.iter().map(|begins| async {
                sleep(millis(*begins)).await;
                let mut place = PlaceInLine::new(&turns, site());
                place.take(vec![key(0)]).await;
                order.lock().unwrap().push(*begins);
                sleep(millis(takes)).await;
            }))
            .await;
            assert_eq!(*order.lock().unwrap(), begins);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_loses_again_comes_before_those_that_have_lost_later() {
    let turns = Turns::default();
    let (mut old, mut young, mut youngest) =
        (PlaceInLine::new(&turns, site()), PlaceInLine::new(&turns, site()), PlaceInLine::new(&turns, site()));
    assert!(old.take(vec![key(1)]).await);
    assert!(young.take(vec![key(0)]).await);
    let mut last = pin!(youngest.take(vec![key(0)]));
    assert!(poll!(&mut last).is_pending());
    // The old one has lost an earlier key now, and gives up the later one until it has that.
    let mut again = pin!(old.take(vec![key(0)]));
    assert!(poll!(&mut again).is_pending());
    drop(young);
    assert!(again.await);
    assert!(poll!(&mut last).is_pending());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_cancelled_leaves_its_place() {
    let turns = Turns::default();
    let [mut holder, mut waiting, mut granted, mut last] = [(), (), (), ()].map(|()| PlaceInLine::new(&turns, site()));
    assert!(holder.take(vec![key(0)]).await);
    let (mut taking, mut next) = (Box::pin(waiting.take(vec![key(0)])), Box::pin(granted.take(vec![key(0)])));
    assert!(poll!(&mut taking).is_pending() && poll!(&mut next).is_pending());
    let mut ends = Box::pin(last.take(vec![key(0)]));
    assert!(poll!(&mut ends).is_pending());
    drop(taking);
    drop(waiting);
    drop(holder);
    // It has the turn and does not know it yet.
    drop(next);
    drop(granted);
    let began = Instant::now();
    assert!((&mut ends).await);
    drop(ends);
    assert_eq!(began.elapsed(), Duration::ZERO, "it waited for one that had gone");
    drop(last);
    assert!(turns.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_is_held_for_too_long_passes_on() {
    let turns = Turns::default();
    let began = Instant::now();
    let mut stuck = PlaceInLine::new(&turns, site());
    assert!(stuck.take(vec![key(0)]).await);
    let mut behind: Vec<PlaceInLine<'_>> = Vec::new();
    for waited in 1..=3 {
        let mut place = PlaceInLine::new(&turns, site());
        assert!(place.take(vec![key(0)]).await);
        assert_eq!(began.elapsed(), waited * LONGEST_TURN);
        behind.push(place);
    }
    // It has lost the turn, and ends without taking it from the one that has it now.
    drop(stuck);
    let mut last = PlaceInLine::new(&turns, site());
    assert!(poll!(pin!(last.take(vec![key(0)]))).is_pending());
    drop((behind, last));
    assert!(turns.is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever() {
    let turns = Turns::default();
    let began = Instant::now();
    let stuck = (0..30).map(|_| async {
        let mut place = PlaceInLine::new(&turns, site());
        let has_turn = place.take(vec![key(0)]).await;
        let waited = began.elapsed();
        std::future::pending::<()>().await;
        drop((place, has_turn, waited));
    });
    let mut stuck = Box::pin(join_all(stuck));
    let last = async {
        let mut place = PlaceInLine::new(&turns, site());
        (place.take(vec![key(0)]).await, began.elapsed())
    };
    let (has_turn, waited) = tokio::select! {
        biased;
        _ = &mut stuck => panic!("they never end"),
        last = last => last,
    };
    assert!(!has_turn, "there were too many before it");
    assert_eq!(waited, Duration::from_secs(30));
    drop(stuck);
    assert!(turns.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_costly_commit_takes_what_is_free_or_nothing() {
    let turns = Turns::default();
    let [mut first, mut second, mut third] = [(), (), ()].map(|()| PlaceInLine::new(&turns, site()));
    let (both, one, other) = ([key(0), key(1)], [key(1), key(2)], [key(2)]);
    let of = |keys: &'static [u8]| keys.chunks(1);
    assert_eq!(first.taken(of(&[0, 1]), true), Vec::<Vec<u8>>::new());
    assert_eq!(second.taken(of(&[1, 2]), true), [key(1)]);
    assert_eq!(third.taken(of(&[2]), true), Vec::<Vec<u8>>::new(), "the second one has taken nothing");
    assert!(second.has_to_wait(&both) && second.has_to_wait(&one) && second.has_to_wait(&other));
    let mut taking = Box::pin(second.take(vec![key(1)]));
    assert!(poll!(&mut taking).is_pending());
    drop(first);
    assert!(taking.await);
    // It has waited for the one, and finds the other taken.
    assert_eq!(second.taken(of(&[1, 2]), true), [key(2)]);
    drop((second, third));
    assert!(turns.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_begun_within_a_turn_waits_for_nobody() {
    let turns = Turns::default();
    let [mut outer, mut other] = [(), ()].map(|()| PlaceInLine::new(&turns, site()));
    assert!(outer.take(vec![key(0)]).await);
    assert!(other.take(vec![key(1)]).await);
    let within = async {
        let mut inner = PlaceInLine::new(&turns, site());
        let keys = [key(0), key(1)];
        assert!(!inner.has_to_wait(&keys));
        assert_eq!(inner.taken(keys.iter().map(Vec::as_slice), true), Vec::<Vec<u8>>::new());
        assert!(!inner.take(keys.to_vec()).await);
    };
    let began = Instant::now();
    outer.scope(within).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_known_to_lose_a_key_takes_its_turn_before_it_begins() {
    let (turns, site) = (Turns::default(), site());
    for _ in 0..4 {
        let mut place = PlaceInLine::new(&turns, site);
        place.take_expected().await;
        assert!(turns.is_empty(), "nothing is expected yet");
        place.take(vec![key(0)]).await;
    }
    let [mut holder, mut next, mut free] = [(), (), ()].map(|()| PlaceInLine::new(&turns, site));
    holder.take_expected().await;
    assert!(!turns.is_empty());
    let mut taking = Box::pin(next.take_expected());
    assert!(poll!(&mut taking).is_pending());
    // It writes something else.
    holder.is_right(|_| false);
    drop(holder);
    taking.await;
    drop(next);
    free.take_expected().await;
    assert!(turns.is_empty(), "it is not expected any more");
}
