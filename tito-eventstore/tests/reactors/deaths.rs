//! Processes that die.

use std::time::Duration;

use tito_core::prelude::*;
use tito_eventstore::Event;
use tito_testkit::TestClock;
use tokio::sync::mpsc;

use crate::support::*;

#[fact]
pub async fn a_worker_that_is_killed_at_random_leaves_each_effect_once(db: Database, clock: TestClock) {
    let mut random = fastrand::Rng::with_seed(tito_testkit::seed());
    let bank = bank(&db).await;
    let (reactor, notes) = (mailer(&bank).await, Notes::new());
    let mut events = 0;
    for _ in 0..25 {
        let some = random.usize(1..60);
        append_many(&bank, some, 5).await;
        events += some as u64;
        let running = Running::start(notes.subscribe_counting(worker(&db), &reactor));
        for _ in 0..random.u32(0..200) {
            tokio::task::yield_now().await;
        }
        running.kill().await;
    }
    let mut harness = notes.counting(&db, &clock, &reactor);
    for _ in 0..3 {
        harness.advance(Duration::from_secs(60)).await.unwrap();
    }
    assert_counted_once(&db, 1..=events).await;
    assert_eq!(in_queue(&db).await, (0, 0));
}

#[fact]
pub async fn an_event_that_kills_its_process_is_given_up_and_no_other(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    append_many(&bank, 12, 4).await;
    let reactor = mailer(&bank).await;
    let (killed, mut killing) = mpsc::unbounded_channel();
    let notes = Notes::new();
    let handler = {
        let notes = notes.clone();
        move |event: Event| {
            let (notes, killed) = (notes.clone(), killed.clone());
            async move {
                if event.sequence() == 6 {
                    let _ = killed.send(());
                    std::future::pending::<()>().await;
                }
                notes.note(&event)
            }
        }
    };
    let mut deaths = 0;
    loop {
        let running = Running::start(reactor.subscribe(worker(&db), handler.clone()));
        let is_killed = tokio::select! {
            Some(()) = killing.recv() => true,
            () = until(async || {
                clock.advance(Duration::from_secs(1));
                in_queue(&db).await == (0, 1) && bank.reactor("mailer").await.unwrap().behind() == 0
            }) => false,
        };
        if !is_killed {
            running.stop().await;
            break;
        }
        deaths += 1;
        running.kill().await;
        // For those in other processes it is dead after a while.
        clock.advance(Duration::from_secs(40));
    }
    assert!((4..=6).contains(&deaths), "{deaths} deaths");
    let mut handled = notes.sequences();
    handled.sort_unstable();
    handled.dedup();
    assert_eq!(handled, (1..=12).filter(|one| *one != 6).collect::<Vec<_>>());
}

/// As many are open as ever are, as when its worker died amid them: they are what it goes on with.
#[fact]
pub async fn a_reactor_of_which_as_much_is_open_as_can_be_goes_on(db: Database, clock: TestClock) {
    const OPEN: u64 = 2_048;
    let bank = bank(&db).await;
    append_many(&bank, OPEN as usize + 10, 3).await;
    let (reactor, notes) = (mailer(&bank).await, Notes::new());
    let (key, value) = stored(&db, "log:").await.into_iter().find(|(key, _)| has_part(key, ":reactor:")).unwrap();
    let mut row: serde_json::Value = serde_json::from_slice(&value).unwrap();
    row["sequence"] = OPEN.into();
    row["open"] = (1..=OPEN).collect::<Vec<_>>().into();
    let row = serde_json::to_vec(&row).unwrap();
    db.transaction(|tx| async move { tx.system_keys().put(key, row).await }).await.unwrap();
    let mut harness = notes.harness(&db, &clock, &reactor);
    harness.advance(Duration::from_secs(1)).await.unwrap();
    let mut handled = notes.sequences();
    handled.sort_unstable();
    assert_eq!(handled, (1..=OPEN + 10).collect::<Vec<_>>());
}

fn has_part(key: &[u8], part: &str) -> bool {
    key.windows(part.len()).any(|found| found == part.as_bytes())
}
