//! Entities that are erased while a reactor has still to do with them.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tito_core::prelude::*;
use tito_core::{BoxError, Transaction};
use tito_eventstore::{Event, EventStore, ReactFrom, Reactor};
use tito_testkit::{Call, FaultEngine, Gate, Harness, TestClock, WithFaults};
use tito_worker::Subscription;

use crate::support::*;

#[fact]
pub async fn nothing_is_handed_out_of_an_entity_that_was_erased(db: Database, clock: TestClock) {
    for in_transaction in [false, true] {
        let bank = bank(&db).await;
        let reactor = mailer(&bank).await;
        let notes = Notes::failing(|event, _| match event.entity() {
            "account.ada" => Err("not yet".into()),
            _ => Ok(tito_worker::Outcome::Done),
        });
        let mut harness =
            if in_transaction { notes.counting(&db, &clock, &reactor) } else { notes.harness(&db, &clock, &reactor) };
        // Some are in the queue, as the first of them fails; the others are read after they were erased.
        append(&bank, ["account.ada", "account.bob", "account.ada"]).await;
        harness.drain().await.unwrap();
        assert_eq!(in_queue(&db).await, (2, 0));
        append(&bank, ["account.ada", "account.bob"]).await;
        assert_eq!(bank.erase("account.ada").await.unwrap().events, 3);
        assert!(bank.remains("account.ada").await.unwrap().is_nothing());
        notes.clear();
        for _ in 0..20 {
            harness.advance(Duration::from_secs(60)).await.unwrap();
        }
        assert_eq!(notes.sequences(), [5], "in a transaction: {in_transaction}");
        assert_eq!(in_queue(&db).await, (0, 0));
        let info = bank.reactor("mailer").await.unwrap();
        assert_eq!(info.behind(), 0);
        append(&bank, ["account.bob"]).await;
        harness.drain().await.unwrap();
        assert_eq!(notes.sequences(), [5, 6]);
        tito_eventstore::Manager::new(db.clone()).delete_event_store("bank").await.unwrap();
    }
}

#[fact]
pub async fn what_a_reactor_has_in_memory_is_not_handed_out_once_it_is_erased(db: Database, _: TestClock) {
    for in_transaction in [false, true] {
        let bank = bank(&db).await;
        let reactor = mailer(&bank).await;
        let (gate, notes) = (Gate::new(), Notes::new());
        let one_at_a_time = Subscription::default().concurrency(1);
        let (passed, noted) = (gate.clone(), notes.clone());
        let worker = if in_transaction {
            reactor.subscribe_with(worker(&db), one_at_a_time, move |event: Event, tx: Transaction| {
                let (passed, noted) = (passed.clone(), noted.clone());
                async move {
                    passed.pass().await;
                    count(&tx, format!("effect:{:08}", event.sequence())).await?;
                    noted.note(&event)
                }
            })
        } else {
            reactor.subscribe_with(worker(&db), one_at_a_time, move |event: Event| {
                let (passed, noted) = (passed.clone(), noted.clone());
                async move {
                    passed.pass().await;
                    noted.note(&event)
                }
            })
        };
        // The first is in its handler's hands while the others are in memory.
        append(&bank, ["account.bob", "account.ada", "account.bob", "account.ada", "account.cid"]).await;
        let running = Running::start(worker);
        gate.arrivals(1).await;
        assert_eq!(bank.erase("account.ada").await.unwrap().events, 2);
        append(&bank, ["account.ada"]).await;
        gate.open();
        while bank.reactor("mailer").await.unwrap().behind() > 0 {
            tokio::task::yield_now().await;
        }
        running.stop().await;
        assert_eq!(notes.of("account.ada"), [6], "in a transaction: {in_transaction}");
        assert_eq!((notes.once("account.bob"), notes.of("account.cid")), (vec![1, 3], vec![5]));
        if in_transaction {
            assert_counted_once(&db, [1, 3, 5, 6]).await;
        }
        assert_eq!(in_queue(&db).await, (0, 0));
        tito_eventstore::Manager::new(db.clone()).delete_event_store("bank").await.unwrap();
    }
}

/// A transactional handler that counts, and waits at a gate before it counts what is Ada's, if there is one by then.
fn waiting(db: &Database, clock: &TestClock, reactor: &Reactor, notes: &Notes, gate: &Arc<OnceLock<Gate>>) -> Harness {
    let (gate, noted) = (gate.clone(), notes.clone());
    let handler = move |event: Event, tx: Transaction| {
        let (gate, noted) = (gate.clone(), noted.clone());
        async move {
            let noted = noted.note(&event)?;
            if let Some(gate) = gate.get().filter(|_| event.entity() == "account.ada") {
                gate.pass().await;
            }
            count(&tx, format!("effect:{:08}", event.sequence())).await?;
            Ok::<_, BoxError>(noted)
        }
    };
    Harness::of(reactor.subscribe(worker(db), handler), clock)
}

/// The store as another process has it, of whose erasures this one learns nothing before they are committed.
async fn elsewhere(db: &Database) -> EventStore {
    bank_of(&FaultEngine::new(db.clone()).with_foreign_writers().database()).await
}

// Ada's event is the last of its transaction each time: before another one, a signal would tell of the erasure.

#[fact]
pub async fn a_transaction_that_began_before_an_erasure_leaves_nothing_of_what_was_erased(
    db: Database,
    clock: TestClock,
) {
    for is_in_queue in [false, true] {
        let bank = bank(&db).await;
        let reactor = mailer(&bank).await;
        let notes = if is_in_queue { Notes::failing(|_, _| Err("not yet".into())) } else { Notes::new() };
        let gates = Arc::new(OnceLock::new());
        let mut harness = waiting(&db, &clock, &reactor, &notes, &gates);
        append(&bank, ["account.bob", "account.ada"]).await;
        if is_in_queue {
            harness.drain().await.unwrap();
            assert_eq!(in_queue(&db).await, (2, 0));
            notes.go_by(|_, _| Ok(tito_worker::Outcome::Done));
        }
        let gate = gates.get_or_init(Gate::new);
        let erasing = elsewhere(&db).await;
        let erased = async {
            gate.arrivals(1).await;
            let erased = erasing.erase("account.ada").await.unwrap();
            gate.open();
            erased
        };
        let (handled, erased) = tokio::join!(harness.advance(Duration::from_secs(60)), erased);
        handled.unwrap();
        assert_eq!((erased.events, notes.once("account.ada")), (1, vec![2]), "its handler had it when it was erased");
        for _ in 0..20 {
            harness.advance(Duration::from_secs(60)).await.unwrap();
        }
        assert_counted_once(&db, [1]).await;
        assert_eq!((in_queue(&db).await, bank.reactor("mailer").await.unwrap().behind()), ((0, 0), 0));
        db.transaction(|tx| async move { tx.delete(b"effect:00000001".to_vec()).await }).await.unwrap();
        tito_eventstore::Manager::new(db.clone()).delete_event_store("bank").await.unwrap();
    }
}

#[fact]
pub async fn a_reactor_that_begins_anew_during_an_erasure_leaves_nothing_either(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    let reactor = mailer(&bank).await;
    let (notes, gates) = (Notes::new(), Arc::new(OnceLock::new()));
    let mut harness = waiting(&db, &clock, &reactor, &notes, &gates);
    append(&bank, ["account.bob", "account.ada"]).await;
    harness.drain().await.unwrap();
    assert_counted_once(&db, [1, 2]).await;

    // It finds the reactor past the event, and does not lock its position.
    let gate = gates.get_or_init(Gate::new);
    let erasing = elsewhere(&db).await;
    let committing = erasing.database().faults().at(Call::Commit).nth(1).hold();
    let erased = async {
        let erased = erasing.erase("account.ada").await.unwrap();
        gate.open();
        erased
    };
    let handled = async {
        committing.arrivals(1).await;
        bank.replay_reactor("mailer", ReactFrom::Sequence(2)).await.unwrap();
        let released = async {
            gate.arrivals(1).await;
            committing.open();
        };
        tokio::join!(harness.drain(), released).0.unwrap();
    };
    let (erased, ()) = tokio::join!(erased, handled);
    assert_eq!((erased.events, notes.of("account.ada").len()), (1, 2));
    harness.advance(Duration::from_secs(60)).await.unwrap();
    // What was erased had its effect once, before.
    assert_counted_once(&db, [1, 2]).await;
}
