//! Reactors that are served as time goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tito_core::prelude::*;
use tito_eventstore::{Event, NewEvent, ReactFrom};
use tito_testkit::TestClock;
use tito_worker::prelude::*;
use tito_worker::{Order, Subscription};
use tokio::sync::{Barrier, Semaphore};

use crate::support::*;

#[fact]
pub async fn what_is_appended_is_handled_as_it_comes(db: Database, _: TestClock) {
    let bank = bank(&db).await;
    let (reactor, notes) = (mailer(&bank).await, Notes::new());
    let running = Running::start(notes.subscribe(worker(&db), &reactor));
    for round in 1..=20 {
        append_many(&bank, 5, 2).await;
        until(async || notes.sequences().len() == 5 * round).await;
    }
    until_caught_up(&bank).await;
    assert_eq!(running.stop().await.done, 100);
    notes.assert_in_order(1..=100);
    assert_eq!(notes.sequences().len(), 100);
}

#[fact]
pub async fn handlers_of_different_entities_run_at_once_and_those_of_one_in_turns(db: Database, _: TestClock) {
    let bank = bank(&db).await;
    append_many(&bank, 80, 8).await;
    let reactor = mailer(&bank).await;
    // Eight that wait for each other, each time again.
    let (barrier, running, most) =
        (Arc::new(Barrier::new(8)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let notes = Notes::new();
    let handler = {
        let (notes, most) = (notes.clone(), most.clone());
        move |event: Event| {
            let (notes, barrier, running, most) = (notes.clone(), barrier.clone(), running.clone(), most.clone());
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                barrier.wait().await;
                running.fetch_sub(1, Ordering::SeqCst);
                notes.note(&event)
            }
        }
    };
    let settings = Subscription::default().order(Order::Strict).concurrency(8);
    let running = Running::start(reactor.subscribe_with(worker(&db), settings, handler));
    until_caught_up(&bank).await;
    running.stop().await;
    notes.assert_in_order(1..=80);
    assert_eq!(most.load(Ordering::SeqCst), 8);
}

#[fact]
pub async fn no_more_handlers_run_than_may(db: Database, _: TestClock) {
    let bank = bank(&db).await;
    append_many(&bank, 60, 20).await;
    let reactor = mailer(&bank).await;
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let handler = {
        let most = most.clone();
        move |_: Event| {
            let (running, most) = (running.clone(), most.clone());
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                running.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, TitoError>(())
            }
        }
    };
    let running = Running::start(reactor.subscribe_with(worker(&db), Subscription::default().concurrency(3), handler));
    until_caught_up(&bank).await;
    assert_eq!(running.stop().await.done, 60);
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[fact]
pub async fn a_slow_handler_keeps_only_its_entity_and_nothing_is_done_twice_for_it(db: Database, _: TestClock) {
    let bank = bank(&db).await;
    append_many(&bank, 40, 4).await;
    let (reactor, notes, go) = (mailer(&bank).await, Notes::new(), Arc::new(Semaphore::new(0)));
    let handler = {
        let (notes, go) = (notes.clone(), go.clone());
        move |event: Event| {
            let (notes, go) = (notes.clone(), go.clone());
            async move {
                if event.sequence() == 1 {
                    let _permit = go.acquire().await;
                }
                notes.note(&event)
            }
        }
    };
    let running = Running::start(reactor.subscribe(worker(&db), handler.clone()));
    // All but account.0 is done and recorded, far behind the event that is not.
    until(async || {
        let info = bank.reactor("mailer").await.unwrap();
        info.behind() == 0 && info.open == 10
    })
    .await;
    assert_eq!(notes.sequences().len(), 30);
    running.kill().await;
    go.add_permits(100);
    let running = Running::start(reactor.subscribe(worker(&db), handler));
    until(async || notes.sequences().len() == 40).await;
    until(async || {
        let info = bank.reactor("mailer").await.unwrap();
        info.open == 0 && in_queue(&db).await.0 == 0
    })
    .await;
    running.stop().await;
    notes.assert_in_order(1..=40);
    assert_eq!(notes.sequences().len(), 40);
}

#[fact]
pub async fn a_reactor_rests_while_its_topic_is_paused(db: Database, _: TestClock) {
    let bank = bank(&db).await;
    let (reactor, notes) = (mailer(&bank).await, Notes::new());
    let queue = TitoQueue::new(db.clone());
    queue.pause(&reactor.topic()).await.unwrap();
    append_many(&bank, 10, 2).await;
    // In a drain as in a run.
    notes.subscribe(worker(&db), &reactor).build().drain().await.unwrap();
    assert!(notes.sequences().is_empty());
    queue.resume(&reactor.topic()).await.unwrap();
    let running = Running::start(notes.subscribe(worker(&db), &reactor));
    until_caught_up(&bank).await;
    queue.pause(&reactor.topic()).await.unwrap();
    // The worker may not have heard of it yet, so what it is handed meanwhile is no error.
    let mut known = 10;
    loop {
        append(&bank, ["account.9"]).await;
        for _ in 0..200 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            if notes.sequences().len() > known {
                break;
            }
        }
        if notes.sequences().len() == known {
            break;
        }
        known = notes.sequences().len();
    }
    assert!(bank.reactor("mailer").await.unwrap().behind() > 0);
    queue.resume(&reactor.topic()).await.unwrap();
    until_caught_up(&bank).await;
    running.stop().await;
    notes.assert_in_order(1..=bank.last_sequence().await.unwrap());
}

#[fact]
pub async fn a_reactor_that_is_replayed_begins_where_it_is_told(db: Database, _: TestClock) {
    let bank = bank(&db).await;
    append_many(&bank, 20, 2).await;
    let (reactor, notes) = (mailer(&bank).await, Notes::new());
    let running = Running::start(notes.subscribe(worker(&db), &reactor));
    until_caught_up(&bank).await;
    let replays = [(ReactFrom::First, 1..=20), (ReactFrom::Sequence(15), 15..=20), (ReactFrom::Last, 20..=20)];
    for (from, expected) in replays {
        notes.clear();
        bank.replay_reactor("mailer", from).await.unwrap();
        until(async || notes.sequences().len() == expected.clone().count()).await;
        until_caught_up(&bank).await;
        assert_eq!(notes.sequences(), expected.collect::<Vec<_>>());
    }
    running.stop().await;
    // And one that is behind skips what is before it.
    append_many(&bank, 10, 2).await;
    bank.replay_reactor("mailer", ReactFrom::New).await.unwrap();
    bank.append(NewEvent::raw("account.1", "changed", "data")).await.unwrap();
    notes.clear();
    notes.subscribe(worker(&db), &reactor).build().drain().await.unwrap();
    assert_eq!(notes.sequences(), [31]);
}

#[fact]
pub async fn a_replay_passes_over_what_waits_of_the_events_that_it_comes_to_again(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    append_many(&bank, 12, 2).await;
    let is_failing = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let asked = is_failing.clone();
    let notes =
        Notes::failing(move |event, _| match [1, 6].contains(&event.sequence()) && asked.load(Ordering::SeqCst) {
            true => Err("not yet".into()),
            false => Ok(tito_worker::Outcome::Done),
        });
    let reactor = mailer(&bank).await;
    let mut harness = notes.harness(&db, &clock, &reactor);
    harness.drain().await.unwrap();
    assert_eq!(in_queue(&db).await, (6 + 4, 0));
    is_failing.store(false, Ordering::SeqCst);
    notes.clear();
    bank.replay_reactor("mailer", ReactFrom::Sequence(5)).await.unwrap();
    for _ in 0..3 {
        harness.advance(std::time::Duration::from_secs(120)).await.unwrap();
    }
    // What is before the new beginning waits still, and is not lost; what is behind it comes once.
    notes.assert_in_order([1, 3].into_iter().chain(5..=12));
    assert_eq!(notes.sequences().len(), 10);
    assert_eq!(in_queue(&db).await, (0, 0));
}
