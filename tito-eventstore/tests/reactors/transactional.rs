//! Effects in the transaction that moves the reactor on.

use std::time::Duration;

use tito_core::Transaction;
use tito_core::prelude::*;
use tito_eventstore::{Event, Manager};
use tito_testkit::{Call, FaultEngine, Harness, TestClock, WithFaults};
use tito_worker::Outcome;

use crate::support::*;

#[fact]
pub async fn effects_happen_once_though_the_process_dies_at_any_commit(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    let (mut events, mut interruptions) = (0, 0);
    let notes =
        Notes::failing(
            |event, before| {
                if event.sequence() % 7 == 3 && before == 0 { Err("once".into()) } else { Ok(Outcome::Done) }
            },
        );
    // A process with faults; every round another one.
    for at in 1.. {
        append_many(&bank, 20, 4).await;
        events += 20;
        let faulty = FaultEngine::new(db.clone()).database();
        let (reactor, dying) = (mailer(&bank).await, mailer(&bank_of(&faulty).await).await);
        let mut harness = notes.counting(&faulty, &clock, &dying);
        let gate = faulty.faults().at(Call::Commit).nth(at).hold();
        let died = tokio::select! {
            biased;
            () = gate.arrivals(1) => true,
            drained = harness.drain() => {
                drained.unwrap();
                false
            }
        };
        drop(harness);
        faulty.faults().clear();
        if !died && at > 3 {
            break;
        }
        interruptions += u32::from(died);
        // Now one that lives. What failed waits for its next attempt.
        let mut harness = notes.counting(&db, &clock, &reactor);
        for _ in 0..3 {
            harness.advance(Duration::from_secs(60)).await.unwrap();
        }
        if at > 40 {
            break;
        }
    }
    assert!(interruptions > 2, "{interruptions}");
    let reactor = mailer(&bank).await;
    let mut harness = notes.counting(&db, &clock, &reactor);
    for _ in 0..30 {
        harness.advance(Duration::from_secs(60)).await.unwrap();
    }
    assert_counted_once(&db, 1..=events).await;
}

#[fact]
pub async fn effects_happen_once_while_every_call_may_fail(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    let faulty = FaultEngine::seeded(db.clone(), tito_testkit::seed()).database();
    let (notes, store) = (Notes::new(), Manager::new(faulty.clone()).get_event_store("bank").await.unwrap());
    let reactor = mailer(&store).await;
    let calls = [Call::Begin, Call::Get, Call::BatchGet, Call::Scan, Call::Put, Call::Commit];
    for call in calls {
        faulty.faults().at(call).with_probability(0.005).storage_error();
        faulty.faults().at(call).with_probability(0.005).conflict();
    }
    faulty.faults().at(Call::Commit).with_probability(0.05).unknown_after_effect();
    faulty.faults().at(Call::Commit).with_probability(0.05).unknown_without_effect();
    // Two that take no turns.
    let running = [0, 1].map(|_| Running::start(notes.subscribe_counting(worker(&faulty), &reactor)));
    for _ in 0..40 {
        append_many(&bank, 20, 5).await;
        clock.advance(Duration::from_millis(500));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    until(async || {
        clock.advance(Duration::from_secs(1));
        bank.reactor("mailer").await.unwrap().behind() == 0 && in_queue(&db).await.0 == 0
    })
    .await;
    assert!(faulty.faults().injected() > 10, "{} faults", faulty.faults().injected());
    for worker in running {
        worker.stop().await;
    }
    assert_eq!(in_queue(&db).await, (0, 0));
    assert_counted_once(&db, 1..=800).await;
}

#[fact]
pub async fn an_effect_that_can_not_be_committed_fails_its_event_alone(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    append_many(&bank, 40, 4).await;
    let reactor = mailer(&bank).await;
    db.transaction(|tx| async move { tx.put(b"taken".to_vec(), b"1".to_vec()).await }).await.unwrap();
    let handler = |event: Event, tx: Transaction| async move {
        count(&tx, format!("effect:{:08}", event.sequence())).await?;
        if event.sequence() == 9 {
            // Refused by the commit, or before.
            tx.insert(b"taken".to_vec(), b"2".to_vec()).await?;
        }
        Ok::<_, TitoError>(())
    };
    let mut harness = Harness::of(reactor.subscribe(worker(&db), handler), &clock);
    harness.drain().await.unwrap();
    // The first one of account.0 that fails, and those after it.
    assert_eq!(in_queue(&db).await, (8, 0));
    assert_counted_once(&db, (1..=40).filter(|one| one % 4 != 1 || *one < 9)).await;
    db.transaction(|tx| async move { tx.delete(b"taken".to_vec()).await }).await.unwrap();
    harness.advance(Duration::from_secs(60)).await.unwrap();
    assert_counted_once(&db, 1..=40).await;
    assert_eq!(in_queue(&db).await, (0, 0));
}

#[fact]
pub async fn an_outcome_other_than_done_commits_with_the_effects(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    append_many(&bank, 6, 2).await;
    let (reactor, notes) = (
        mailer(&bank).await,
        Notes::failing(|event, before| match (event.sequence(), before) {
            (3, 0) => Ok(Outcome::RetryAfter(Duration::from_secs(30))),
            _ => Ok(Outcome::Done),
        }),
    );
    let mut harness = notes.counting(&db, &clock, &reactor);
    harness.drain().await.unwrap();
    assert_eq!(notes.of("account.0"), [1, 3]);
    assert_counted_once(&db, [1, 2, 3, 4, 6]).await;
    harness.advance(Duration::from_secs(60)).await.unwrap();
    assert_eq!(notes.of("account.0"), [1, 3, 3, 5]);
}

#[fact]
pub async fn an_event_that_takes_longer_than_a_transaction_may_live_fails_alone(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    append_many(&bank, 6, 6).await;
    let reactor = mailer(&bank).await;
    let turned = clock.clone();
    let notes = Notes::failing(move |event, _| {
        if event.sequence() == 3 {
            turned.advance(Duration::from_secs(40));
        }
        Ok(Outcome::Done)
    });
    let mut harness = notes.counting(&db, &clock, &reactor);
    harness.advance(Duration::from_secs(1)).await.unwrap();
    assert_counted_once(&db, [1, 2, 4, 5, 6]).await;
    let (pending, dead) = in_queue(&db).await;
    assert_eq!(pending + dead, 1);
}
