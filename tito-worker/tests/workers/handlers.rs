//! Handlers of payloads and models, with shared state, and with layers round them.

use std::future::{Future, Ready, pending, ready};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tito_core::Transaction;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Gate, Harness, TestClock};
use tito_worker::prelude::*;
use tito_worker::{BoxedHandler, Context as OfEvent, FromEvent, Payload, Progress, Rejection, Row, State, with_state};
use tito_worker::{Outcome, RetryPolicy, Subscription};
use tower::{BoxError, Service, ServiceBuilder};

use crate::support::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Mail {
    to: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TitoModel)]
#[tito(event = "job")]
struct User {
    id: u64,
    name: String,
}

/// One attempt more than the adapters should need.
fn two_attempts() -> Subscription {
    Subscription::default().retry(RetryPolicy::default().attempts(2).first_delay(Duration::ZERO))
}

async fn reasons(db: &Database) -> Vec<(String, u32, String)> {
    let letters = TitoQueue::new(db.clone()).dead_letters("job", 100, None).await.unwrap();
    let mut reasons: Vec<_> = letters
        .into_iter()
        .map(|letter| letter.event.unwrap())
        .map(|event| (event.entity, event.failed_attempts, event.failures[0].error.clone()))
        .collect();
    reasons.sort();
    reasons
}

#[fact]
pub async fn a_payload_that_is_not_the_handlers_goes_to_the_dead_letters_at_once(db: Database, clock: TestClock) {
    let mail = Mail { to: "ada".to_string() };
    let events = [job("a").payload(&mail).unwrap(), job("b").payload(&17).unwrap(), job("c")];
    publish(&db, events).await;
    let sent = Arc::new(Mutex::new(Vec::new()));
    let sending = sent.clone();
    let mut harness = Harness::new(&db, &clock).subscribe_with(
        "job",
        two_attempts(),
        move |Payload(mail): Payload<Mail>, event: TitoEvent| {
            sending.lock().unwrap().push((event.entity, mail));
            async { Done::Ok(()) }
        },
    );
    harness.drain().await.unwrap();
    assert_eq!(*sent.lock().unwrap(), [("a".to_string(), mail)]);
    let reasons = reasons(&db).await;
    assert_eq!(
        reasons.iter().map(|(entity, attempt, _)| (&**entity, *attempt)).collect::<Vec<_>>(),
        [("b", 1), ("c", 1)]
    );
    assert!(reasons[0].2.contains("payload") && reasons[0].2.contains("integer `17`"), "{reasons:?}");
    assert!(reasons[1].2.contains("null"), "{reasons:?}");
}

#[fact]
pub async fn a_model_handler_gets_the_row_as_it_is_and_none_once_it_is_deleted(db: Database, clock: TestClock) {
    let users = db.model::<User>();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seeing = seen.clone();
    let mut harness = Harness::new(&db, &clock).subscribe("job", move |Row(user): Row<User>, event: TitoEvent| {
        seeing.lock().unwrap().push((event.action, user.map(|user| user.name)));
        async { Done::Ok(()) }
    });
    let user = User { id: 17, name: "Ada".to_string() };
    for name in ["Ada", "Augusta Ada"] {
        let (users, user) = (users.clone(), User { name: name.to_string(), ..user.clone() });
        db.transaction(|tx| async move { users.upsert(&user, &tx).await.map(drop) }).await.unwrap();
    }
    harness.drain().await.unwrap();
    let gone = users.clone();
    db.transaction(|tx| async move { gone.delete(17, &tx).await.map(drop) }).await.unwrap();
    harness.drain().await.unwrap();
    let seen = seen.lock().unwrap();
    let seen: Vec<_> = seen.iter().map(|(action, name)| (&**action, name.as_deref())).collect();
    // Both events of before the first drain read the row as it is by then.
    assert_eq!(seen, [("insert", Some("Augusta Ada")), ("update", Some("Augusta Ada")), ("delete", None)]);
}

#[fact]
pub async fn an_event_about_something_else_than_the_model_goes_to_the_dead_letters_at_once(
    db: Database,
    clock: TestClock,
) {
    publish(&db, ["account:17", "user", "user:"].map(job)).await;
    let mut harness =
        Harness::new(&db, &clock).subscribe_with("job", two_attempts(), |_: Row<User>| async { Done::Ok(()) });
    harness.drain().await.unwrap();
    let reason = |entity: &str| {
        (entity.to_string(), 1, format!("the event is about {entity:?}, expected \"user\", ':' and the id of a row"))
    };
    assert_eq!(reasons(&db).await, [reason("account:17"), reason("user"), reason("user:")]);
}

#[fact]
pub async fn a_handler_gets_the_row_also_where_its_model_names_another_entity(db: Database, clock: TestClock) {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TitoModel)]
    #[tito(event = "job", entity = format!("customer:{}", self.customer))]
    struct Order {
        id: u64,
        customer: String,
    }
    let order = Order { id: 7, customer: "ada".to_string() };
    let (orders, written) = (db.model::<Order>(), order.clone());
    db.transaction(|tx| async move { orders.insert(&written, &tx).await }).await.unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seeing = seen.clone();
    let handler = move |Row(order): Row<Order>, event: TitoEvent| {
        seeing.lock().unwrap().push((order, event.entity));
        async { Done::Ok(()) }
    };
    // The first attempt fails, so that the event is stored again.
    let failing = move |event: TitoEvent| async move { if event.attempt() == 1 { Err(error("no")) } else { Ok(()) } };
    Harness::new(&db, &clock).subscribe("job", failing).drain().await.unwrap();
    clock.advance(Duration::from_secs(3_600));
    Harness::new(&db, &clock).subscribe("job", handler).drain().await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [(Some(order), "customer:ada".to_string())]);
}

#[fact]
pub async fn the_id_of_a_row_is_all_that_follows_the_table(db: Database, _: TestClock) {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TitoModel)]
    #[tito(event = "job")]
    struct Page {
        id: String,
    }
    let page = Page { id: "https://example.com/a b;c".to_string() };
    let (pages, written) = (db.model::<Page>(), page.clone());
    db.transaction(|tx| async move { pages.insert(&written, &tx).await }).await.unwrap();
    let (_, bytes) = stored(&db, "event:").await.remove(0);
    let event = TitoEvent::decode(b"", &bytes).unwrap();
    assert_eq!(event.entity_id(), Some("https://example.com/a b;c"));
    assert_eq!(event.model::<Page>(&db).await.unwrap(), Some(page));
    assert!(matches!(event.model::<User>(&db).await, Err(TitoError::NotOfTheTable { .. })));
}

#[fact]
pub async fn transactional_handlers_get_payloads_rows_and_state_too(db: Database, clock: TestClock) {
    let users = db.model::<User>();
    db.transaction(|tx| async move { users.insert(&User { id: 17, name: "Ada".to_string() }, &tx).await })
        .await
        .unwrap();
    publish(&db, [Publish::new("mail", "a").payload(&"ada").unwrap(), Publish::new("count", "a")]).await;
    let mut harness = Harness::new(&db, &clock)
        .subscribe("mail", |Payload(to): Payload<String>, tx: Transaction| async move {
            count(&tx, format!("mail/{to}")).await
        })
        .subscribe(
            "count",
            with_state(Arc::new("shared"), |tx: Transaction, State(state): State<Arc<&'static str>>| async move {
                count(&tx, format!("state/{state}")).await
            }),
        )
        .subscribe("job", |Row(user): Row<User>, tx: Transaction| async move {
            count(&tx, format!("user/{}", user.unwrap().name)).await
        });
    harness.drain().await.unwrap();
    assert_eq!(harness.report().done, 3);
    for key in ["mail/ada", "state/shared", "user/Ada"] {
        assert_eq!(counts(&db, key).await, [1], "{key}");
    }
}

/// Who caused an event, by its header.
struct Actor(String);

impl<S: Send, J> FromEvent<S, J> for Actor {
    async fn from_event(context: &mut OfEvent<S>) -> Result<Self, Rejection> {
        let actor = context.event()?.headers.get("actor");
        actor.cloned().map(Self).ok_or_else(|| Rejection::dead_letter("nobody caused it"))
    }
}

/// Looks at the event once it has taken it out.
#[derive(Debug)]
struct Twice;

impl<S: Send, J> FromEvent<S, J> for Twice {
    async fn from_event(context: &mut OfEvent<S>) -> Result<Self, Rejection> {
        <TitoEvent as FromEvent<S, J>>::from_event(context).await?;
        context.event().map(|_| Self)
    }
}

#[fact]
pub async fn an_argument_that_looks_at_an_event_which_is_gone_fails_the_attempt(db: Database, clock: TestClock) {
    clock.must_stand_still();
    publish(&db, [job("a")]).await;
    let handle = |_: Twice| async { Done::Ok(()) };
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", two_attempts(), handle);
    harness.drain().await.unwrap();
    assert_eq!(harness.report().dead, 1);
    let [(_, 2, reason)] = &reasons(&db).await[..] else { panic!("{:?}", reasons(&db).await) };
    assert!(reason.contains("once it was taken out") && !reason.contains("panicked"), "{reason}");
}

#[fact]
pub async fn a_handler_takes_any_arguments_in_any_order(db: Database, clock: TestClock) {
    async fn handle(
        before: TitoEvent,
        State((prefix, suffix)): State<(&'static str, &'static str)>,
        Payload(number): Payload<u32>,
        tx: Transaction,
        Actor(actor): Actor,
        after: TitoEvent,
    ) -> Result<(), TitoError> {
        assert_eq!((before.id, before.headers.len()), (after.id, after.headers.len()));
        count(&tx, format!("{prefix}/{number}/{actor}/{}/{suffix}", after.entity)).await
    }
    let caused = job("a").header("actor", "ada").payload(&17).unwrap();
    publish(&db, [caused, job("b").payload(&17).unwrap()]).await;
    let mut harness = Harness::new(&db, &clock).subscribe("job", with_state(("first", "last"), handle));
    harness.drain().await.unwrap();
    assert_eq!(counts(&db, "first/17/ada/a/last").await, [1]);
    assert_eq!(reasons(&db).await, [("b".to_string(), 1, "nobody caused it".to_string())]);
}

#[fact]
pub async fn a_batch_handler_takes_state_and_the_transaction(db: Database, clock: TestClock) {
    publish(&db, (0..5).map(job)).await;
    let together = Subscription::default().batch(10);
    let handler = |events: Vec<TitoEvent>, State(prefix): State<&'static str>, tx: Transaction| async move {
        for event in events {
            count(&tx, format!("{prefix}/{}", event.entity)).await?;
        }
        Done::Ok(())
    };
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", together, with_state("seen", handler));
    assert_eq!(harness.drain().await.unwrap().len(), 5);
    assert_eq!(stored(&db, "seen/").await.len(), 5);
}

#[fact]
pub async fn a_handler_reads_the_progress_of_the_attempt_before(db: Database, clock: TestClock) {
    clock.must_stand_still();
    async fn import(Progress(page): Progress<u32>, queue: TitoQueue, event: TitoEvent) -> Result<(), TitoError> {
        if page == Some(3) {
            return Ok(());
        }
        assert!(queue.record_progress(&event, &3).await?);
        Err(TitoError::application("interrupted"))
    }
    publish(&db, [job("a")]).await;
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", two_attempts(), import);
    harness.drain().await.unwrap();
    assert_eq!((harness.report().retried, harness.report().done), (1, 1));
}

#[fact]
pub async fn handlers_are_chosen_as_the_program_runs(db: Database, clock: TestClock) {
    let chosen = |transactional: bool| {
        if transactional {
            BoxedHandler::new(|tx: Transaction| async move { count(&tx, "chosen".to_string()).await })
        } else {
            BoxedHandler::new(|_: TitoEvent| async { Done::Ok(()) })
        }
    };
    publish(&db, [job("a"), Publish::new("other", "a")]).await;
    let mut harness =
        Harness::new(&db, &clock).subscribe("job", chosen(true)).subscribe(String::from("other"), chosen(false));
    harness.drain().await.unwrap();
    assert_eq!((harness.report().done, counts(&db, "chosen").await), (2, vec![1]));
}

#[fact]
pub async fn shared_state_is_one_for_all_runs(db: Database, clock: TestClock) {
    async fn add(State(total): State<Arc<AtomicUsize>>, _: TitoEvent) -> Done {
        total.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    publish(&db, (0..5).map(job)).await;
    let total = Arc::new(AtomicUsize::new(0));
    let mut harness = Harness::new(&db, &clock).subscribe("job", with_state(total.clone(), add));
    harness.drain().await.unwrap();
    assert_eq!(total.load(Ordering::SeqCst), 5);
}

#[fact]
pub async fn a_timeout_layer_fails_a_handler_that_takes_too_long(db: Database, clock: TestClock) {
    clock.must_stand_still();
    publish(&db, [job("a")]).await;
    let handler = ServiceBuilder::new()
        .timeout(Duration::from_millis(1))
        .service_fn(|_: TitoEvent| pending::<Result<(), BoxError>>());
    let worker = Worker::builder(TitoQueue::new(db.clone())).subscribe_with("job", two_attempts(), handler).build();
    let report = worker.drain().await.unwrap();
    assert_eq!((report.retried, report.dead), (1, 1));
    assert_eq!(reasons(&db).await, [("a".to_string(), 2, "request timed out".to_string())]);
}

#[fact]
pub async fn a_concurrency_layer_bounds_handlers_of_all_partitions(db: Database, _: TestClock) {
    publish(&db, (0..20).map(job)).await;
    let (gate, running, most) = (Gate::new(), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (passing, peak) = (gate.clone(), most.clone());
    let handler = ServiceBuilder::new().concurrency_limit(3).service_fn(move |_: TitoEvent| {
        let (gate, running, peak) = (passing.clone(), running.clone(), peak.clone());
        async move {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            gate.pass().await;
            running.fetch_sub(1, Ordering::SeqCst);
            Done::Ok(())
        }
    });
    let worker = Worker::builder(TitoQueue::new(db)).subscribe_with("job", Subscription::default(), handler).build();
    let draining = tokio::spawn(async move { worker.drain().await.unwrap() });
    gate.arrivals(3).await;
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    gate.open();
    assert_eq!(draining.await.unwrap().done, 20);
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

/// Ready when it is asked for the second time.
#[derive(Clone, Default)]
struct Reluctant {
    asked: bool,
    is_ready: bool,
}

impl Service<TitoEvent> for Reluctant {
    type Response = Outcome;
    type Error = BoxError;
    type Future = Ready<Result<Outcome, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.is_ready = std::mem::replace(&mut self.asked, true);
        if self.is_ready {
            return Poll::Ready(Ok(()));
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, event: TitoEvent) -> Self::Future {
        assert!(self.is_ready, "called before it was ready");
        ready(match event.entity.as_str() {
            "refused" => Err("refused".into()),
            _ => Ok(Outcome::Done),
        })
    }
}

#[fact]
pub async fn a_service_is_called_when_it_is_ready_and_its_errors_are_failures(db: Database, clock: TestClock) {
    clock.must_stand_still();
    publish(&db, ["a", "b", "refused"].map(job)).await;
    let worker =
        Worker::builder(TitoQueue::new(db.clone())).subscribe_with("job", two_attempts(), Reluctant::default()).build();
    let report = worker.drain().await.unwrap();
    assert_eq!((report.done, report.dead), (2, 1));
    assert_eq!(reasons(&db).await, [("refused".to_string(), 2, "refused".to_string())]);
}

/// A service is a handler as any other, so what takes handlers takes services.
#[fact]
pub async fn a_service_runs_in_a_harness(db: Database, clock: TestClock) {
    fn handle(_: TitoEvent) -> impl Future<Output = Done> + Send {
        ready(Ok(()))
    }
    publish(&db, [job("a")]).await;
    let handler = tower::service_fn(handle);
    let handled = Harness::new(&db, &clock).subscribe("job", handler).drain().await.unwrap();
    assert_eq!(handled[0].outcome, Ok(Outcome::Done));
}

#[fact]
pub async fn layers_of_a_transactional_handler_fail_it_and_its_effects(db: Database, clock: TestClock) {
    clock.must_stand_still();
    publish(&db, ["a", "refused"].map(job)).await;
    let handle = |(event, tx): (TitoEvent, Transaction)| async move {
        count(&tx, format!("effect:{}", event.entity)).await?;
        Ok::<_, BoxError>(event.entity)
    };
    let refuse = |handled: Result<String, BoxError>| match handled?.as_str() {
        "refused" => Err(BoxError::from("refused by a layer")),
        _ => Ok(Outcome::Done),
    };
    let handler = ServiceBuilder::new().concurrency_limit(1).map_result(refuse).service_fn(handle);
    let worker = Worker::builder(TitoQueue::new(db.clone())).subscribe_with("job", two_attempts(), handler).build();
    let report = worker.drain().await.unwrap();
    assert_eq!((report.done, report.dead), (1, 1));
    let effects: Vec<_> = stored(&db, "effect:").await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(effects, [b"effect:a"]);
    assert_eq!(reasons(&db).await, [("refused".to_string(), 2, "refused by a layer".to_string())]);
}
