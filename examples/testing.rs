//! An application of one function and two handlers, and its tests with `tito-testkit`: an hour passes in a millisecond,
//! a commit's answer is lost where the test says so, nothing sleeps and nothing is mocked.
//!
//! `cargo test -p tito-examples --example testing` runs the tests, `cargo run -p tito-examples --example testing` the application.
#![allow(clippy::print_stdout)]

use serde::{Deserialize, Serialize};
use tito_core::prelude::*;
use tito_core::{BoxError, Transaction, TxOptions};
use tito_worker::Subscription;
use tito_worker::prelude::*;

#[derive(Clone, Debug, Serialize, Deserialize, TitoModel)]
#[tito(event = "order", on(insert))]
#[tito(event = "cancel_unpaid", on(insert), delay = "1h")]
struct Order {
    id: String,
    cents: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    Open,
    Paid,
    Cancelled,
}

/// The application on any engine: on a database in production, in its tests on one with faults and a clock to turn.
#[derive(Clone)]
struct Orders {
    db: Database,
    orders: TitoTable<Order>,
}

impl Orders {
    fn new(db: Database) -> Self {
        Self { orders: db.model(), db }
    }

    async fn place(&self, id: &str, cents: u64) -> Result<(), TitoError> {
        let order = Order { id: id.to_string(), cents, state: State::Open };
        let orders = self.orders.clone();
        // The key makes a repetition of the request harmless, also after a lost answer.
        let options = TxOptions::default().idempotency_key(format!("place/{id}"));
        match self.db.transaction_with(options, |tx| async move { orders.insert(&order, &tx).await }).await {
            Err(TitoError::AlreadyApplied { .. }) => Ok(()),
            other => other,
        }
    }

    async fn move_to(&self, id: &str, state: State) -> Result<(), TitoError> {
        let (orders, id) = (self.orders.clone(), id.to_string());
        self.db.transaction(|tx| async move { move_order(&orders, &id, state, &tx).await }).await
    }

    async fn state(&self, id: &str) -> Result<Option<State>, TitoError> {
        let (orders, id) = (self.orders.clone(), id.to_string());
        let order = self.db.transaction(|tx| async move { orders.get(id, &tx).await }).await?;
        Ok(order.map(|order| order.state))
    }

    /// The worker, with the gateway to the warehouse as a parameter, so that tests can give it another.
    fn worker<F>(&self, tell_warehouse: F) -> Worker
    where
        F: Fn(&str) -> Result<(), BoxError> + Clone + Send + Sync + 'static,
    {
        let orders = self.orders.clone();
        Worker::builder(TitoQueue::new(self.db.clone()))
            .subscribe("order", move |event: TitoEvent| {
                let tell_warehouse = tell_warehouse.clone();
                async move { tell_warehouse(id_of(&event)) }
            })
            .subscribe_with("cancel_unpaid", Subscription::default(), move |event: TitoEvent, tx: Transaction| {
                let orders = orders.clone();
                async move { move_order(&orders, id_of(&event), State::Cancelled, &tx).await }
            })
            .build()
    }
}

/// Only open orders can be paid or cancelled.
async fn move_order(orders: &TitoTable<Order>, id: &str, state: State, tx: &Transaction) -> Result<(), TitoError> {
    match orders.get(id, tx).await? {
        Some(order) if order.state == State::Open => orders.update(&Order { state, ..order }, tx).await,
        _ => Ok(()),
    }
}

fn id_of(event: &TitoEvent) -> &str {
    event.entity_id().unwrap_or(&event.entity)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let app = Orders::new(Database::open("memory:").await?);
    app.place("o1", 1_250).await?;
    let worker = app.worker(|id| {
        println!("warehouse: pack order {id}");
        Ok(())
    });
    worker.drain().await?;
    app.move_to("o1", State::Paid).await?;
    println!("order o1 is {:?}; its tests: cargo test -p tito-examples --example testing", app.state("o1").await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tito_testkit::{Call, EngineSettings, FaultEngine, TestClock, WithFaults};

    use super::*;

    async fn app_with_clock() -> (Orders, TestClock) {
        let clock = TestClock::new();
        let db = tito_testkit::in_memory_with(EngineSettings::default().test_clock(&clock)).await.unwrap();
        (Orders::new(db), clock)
    }

    fn deaf_warehouse(_: &str) -> Result<(), BoxError> {
        Ok(())
    }

    #[tokio::test]
    async fn an_order_that_is_not_paid_within_an_hour_is_cancelled() {
        let (app, clock) = app_with_clock().await;
        let worker = app.worker(deaf_warehouse);
        app.place("o1", 1_250).await.unwrap();
        clock.advance(Duration::from_secs(3_599));
        worker.drain().await.unwrap();
        assert_eq!(app.state("o1").await.unwrap(), Some(State::Open));

        clock.advance(Duration::from_secs(1));
        worker.drain().await.unwrap();
        assert_eq!(app.state("o1").await.unwrap(), Some(State::Cancelled));
    }

    #[tokio::test]
    async fn an_order_that_is_paid_stays_paid() {
        let (app, clock) = app_with_clock().await;
        app.place("o1", 1_250).await.unwrap();
        app.move_to("o1", State::Paid).await.unwrap();
        clock.advance(Duration::from_secs(3_600));
        app.worker(deaf_warehouse).drain().await.unwrap();
        assert_eq!(app.state("o1").await.unwrap(), Some(State::Paid));
    }

    #[tokio::test]
    async fn a_warehouse_that_does_not_answer_is_told_again_until_it_does() {
        let (app, clock) = app_with_clock().await;
        let told = Arc::new(Mutex::new(Vec::new()));
        let worker = app.worker({
            let told = told.clone();
            move |id| {
                let mut told = told.lock().unwrap();
                told.push(id.to_string());
                if told.len() < 3 { Err("no answer".into()) } else { Ok(()) }
            }
        });
        app.place("o1", 1_250).await.unwrap();
        let report = worker.drain().await.unwrap();
        assert_eq!((report.done, report.retried), (0, 1));

        // The policy's delays are 1 s and 2 s, each by up to a quarter longer, rounded up to whole seconds.
        for seconds in [2, 3] {
            clock.advance(Duration::from_secs(seconds));
            worker.drain().await.unwrap();
        }
        assert_eq!(*told.lock().unwrap(), ["o1", "o1", "o1"]);
        let dead = TitoQueue::new(app.db).dead_letters("order", 10, None).await.unwrap();
        assert!(dead.is_empty());
    }

    #[tokio::test]
    async fn an_order_whose_answer_was_lost_is_placed_once() {
        let app = Orders::new(FaultEngine::new(tito_testkit::in_memory().await.unwrap()).database());
        app.db.faults().at(Call::Commit).key_prefix("data:order:").unknown_after_effect();
        app.place("o1", 1_250).await.unwrap();
        app.place("o1", 1_250).await.unwrap();

        let report = app.worker(deaf_warehouse).drain().await.unwrap();
        assert_eq!(report.done, 1);
        assert_eq!(app.db.faults().injected(), 1);
    }
}
