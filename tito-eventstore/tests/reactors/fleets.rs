//! Reactors in fleets: one owner at a time.

use std::time::Duration;

use tito_core::prelude::*;
use tito_testkit::{FaultEngine, TestClock};
use tito_worker::prelude::*;

use crate::support::*;

const LEASE: Duration = Duration::from_secs(3);

/// A member of the fleet in a process of its own.
async fn member(db: &Database, notes: &Notes, name: &str) -> Running {
    let other_process = FaultEngine::new(db.clone()).with_foreign_writers().database();
    let reactor = mailer(&bank_of(&other_process).await).await;
    let builder = worker(&other_process).join("fleet").lease_time(LEASE).member_name(name).schedules(false);
    Running::start(notes.subscribe_counting(builder, &reactor))
}

async fn owner(db: &Database) -> Option<String> {
    let queue = TitoQueue::new(db.clone());
    let lease = queue.leases("bank.mailer").await.unwrap().into_iter().find_map(|lease| lease.member)?;
    queue.members("fleet").await.unwrap().into_iter().find(|member| member.id == lease)?.name
}

/// Turns the clock until something is so.
async fn turning<Fut: Future<Output = bool>>(clock: &TestClock, is_so: impl Fn() -> Fut) {
    while !is_so().await {
        clock.advance(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[fact]
pub async fn a_member_that_dies_is_followed_by_another_that_goes_on_where_it_was(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    mailer(&bank).await;
    append_many(&bank, 50, 5).await;
    let (first, second) = (Notes::new(), Notes::new());
    let dying = member(&db, &first, "first").await;
    turning(&clock, async || first.sequences().len() == 50 && bank.reactor("mailer").await.unwrap().behind() == 0)
        .await;
    assert_eq!(owner(&db).await.as_deref(), Some("first"));
    let staying = member(&db, &second, "second").await;
    append_many(&bank, 50, 5).await;
    turning(&clock, async || {
        let handled = first.sequences().len() + second.sequences().len();
        handled >= 100 && bank.reactor("mailer").await.unwrap().behind() == 0
    })
    .await;
    let is_first = owner(&db).await.as_deref() == Some("first");
    let (dying, staying, theirs) = if is_first { (dying, staying, &second) } else { (staying, dying, &first) };
    theirs.clear();
    dying.kill().await;
    append_many(&bank, 50, 5).await;
    turning(&clock, async || {
        let info = bank.reactor("mailer").await.unwrap();
        info.behind() == 0 && in_queue(&db).await.0 == 0
    })
    .await;
    staying.stop().await;
    theirs.assert_in_order(101..=150);
    assert_counted_once(&db, 1..=150).await;
}

#[fact]
pub async fn effects_of_one_that_has_lost_the_reactor_without_knowing_are_refused(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    let reactor = mailer(&bank).await;
    append_many(&bank, 10, 2).await;
    // One that was stopped in the middle of a transaction, and goes on when another one has done the same.
    let (notes, gate) = (Notes::new(), std::sync::Arc::new(tokio::sync::Semaphore::new(0)));
    let held = gate.clone();
    let handler = move |event: tito_eventstore::Event, tx: tito_core::Transaction| {
        let held = held.clone();
        async move {
            count(&tx, format!("effect:{:08}", event.sequence())).await?;
            if event.sequence() == 10 {
                let _held = held.acquire().await;
            }
            Ok::<_, TitoError>(())
        }
    };
    let slow = Running::start(reactor.subscribe(worker(&db), handler));
    until(async || gate.available_permits() == 0 && !stored(&db, "process:").await.is_empty()).await;
    notes.counting(&db, &clock, &reactor).drain().await.unwrap();
    assert_counted_once(&db, 1..=10).await;
    gate.add_permits(10);
    append_many(&bank, 10, 2).await;
    until_caught_up(&bank).await;
    slow.stop().await;
    assert_counted_once(&db, 1..=20).await;
}
