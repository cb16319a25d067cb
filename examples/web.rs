//! An HTTP service: a request writes a row and its events in one transaction, a worker of the same process does what has
//! to follow, and both end in good order when the process is asked to stop.
//!
//! `cargo run -p tito-examples --example web --features web`, and then
//! `curl -d '{"id":"o1","cents":1250}' -H 'content-type: application/json' localhost:3000/orders` and
//! `curl localhost:3000/orders/o1`. `TITO_DB` names the database, `ADDRESS` where to listen.
//!
//! `cargo test -p tito-examples --example web --features web` runs its tests.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::env;
use std::future::IntoFuture as _;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tito_core::prelude::*;
use tito_core::{BoxError, Transaction, TxOptions};
use tito_worker::Row;
use tito_worker::prelude::*;
use tokio::net::TcpListener;
use tokio::sync::watch;

#[derive(Clone, Debug, Serialize, Deserialize, TitoModel)]
#[tito(event = "order_placed", on(insert))]
struct Order {
    id: String,
    cents: u64,
    #[serde(default)]
    is_confirmed: bool,
}

/// What handlers of requests and of events share. Clones are cheap: they are handles of one database.
#[derive(Clone)]
struct Shop {
    db: Database,
    orders: TitoTable<Order>,
}

impl Shop {
    fn new(db: Database) -> Self {
        Self { orders: db.model(), db }
    }

    fn router(&self) -> Router {
        Router::new()
            .route("/orders", post(place))
            .route("/orders/{id}", get(show))
            .route("/healthy", get(healthy))
            .with_state(self.clone())
    }

    async fn order(&self, id: String) -> Result<Option<Order>, TitoError> {
        let orders = self.orders.clone();
        self.db.transaction(|tx| async move { orders.get(id, &tx).await }).await
    }

    fn worker(&self) -> Worker {
        let orders = self.orders.clone();
        let confirm = move |Row(order): Row<Order>, tx: Transaction| {
            let orders = orders.clone();
            async move {
                let Some(order) = order else { return Ok(()) };
                orders.update(&Order { is_confirmed: true, ..order }, &tx).await
            }
        };
        Worker::builder(TitoQueue::new(self.db.clone())).subscribe("order_placed", confirm).build()
    }
}

/// A client that got no answer sends its request again: the key makes that harmless.
async fn place(State(shop): State<Shop>, Json(order): Json<Order>) -> Result<Response, Failure> {
    let options = TxOptions::default().idempotency_key(format!("place/{}", order.id));
    let order = Order { is_confirmed: false, ..order };
    let (orders, new) = (shop.orders.clone(), order.clone());
    let placed = shop.db.transaction_with(options, |tx| async move { orders.insert(&new, &tx).await }).await;
    match placed {
        Ok(()) => Ok((StatusCode::CREATED, Json(order)).into_response()),
        Err(TitoError::AlreadyApplied { .. }) => match shop.order(order.id).await? {
            Some(stored) if stored.cents == order.cents => Ok((StatusCode::OK, Json(stored)).into_response()),
            _ => Ok(StatusCode::CONFLICT.into_response()),
        },
        Err(error) => Err(Failure(error)),
    }
}

async fn show(State(shop): State<Shop>, Path(id): Path<String>) -> Result<Response, Failure> {
    match shop.order(id).await? {
        Some(order) => Ok(Json(order).into_response()),
        None => Ok(StatusCode::NOT_FOUND.into_response()),
    }
}

/// For whoever supervises the process: reads something, and fails if the database does.
async fn healthy(State(shop): State<Shop>) -> Result<StatusCode, Failure> {
    shop.db.now().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An error of the database as an answer: what the client can do about it, and nothing of the inside.
struct Failure(TitoError);

impl From<TitoError> for Failure {
    fn from(error: TitoError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            TitoError::AlreadyExists { .. } => StatusCode::CONFLICT,
            TitoError::StorageFull { .. } => StatusCode::INSUFFICIENT_STORAGE,
            error if error.is_retryable() => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            eprintln!("{}", self.0);
        }
        status.into_response()
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let db = Database::open(env::var("TITO_DB").as_deref().unwrap_or("./tito-web-data")).await?;
    let listener = TcpListener::bind(env::var("ADDRESS").as_deref().unwrap_or("127.0.0.1:3000")).await?;
    println!("listening on {}", listener.local_addr()?);
    let shop = Shop::new(db.clone());

    let (stop, stopping) = watch::channel(false);
    let end = || {
        let mut stopping = stopping.clone();
        async move { drop(stopping.wait_for(|stop| *stop).await) }
    };
    let (worker, until) = (shop.worker(), end());
    let worker = tokio::spawn(async move { worker.run(until).await });
    let server = tokio::spawn(axum::serve(listener, shop.router()).with_graceful_shutdown(end()).into_future());

    tokio::select! {
        asked = asked_to_stop() => asked?,
        error = db.closed() => eprintln!("{error}"),
    }
    // Requests and handlers that have begun end; then the database is closed.
    stop.send_replace(true);
    server.await??;
    let report = worker.await??;
    db.close().await;
    println!("stopped: {} events were done", report.done);
    Ok(())
}

/// Completes at Ctrl-C, and at the SIGTERM of whoever supervises the process.
async fn asked_to_stop() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn shop() -> Shop {
        Shop::new(tito_testkit::in_memory().await.unwrap())
    }

    async fn answer(shop: &Shop, request: Request<Body>) -> (StatusCode, String) {
        let response = shop.router().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn order(body: &'static str) -> Request<Body> {
        Request::post("/orders").header("content-type", "application/json").body(Body::from(body)).unwrap()
    }

    async fn is_confirmed(shop: &Shop, id: &str) -> bool {
        let request = Request::get(format!("/orders/{id}")).body(Body::empty()).unwrap();
        let (status, body) = answer(shop, request).await;
        assert_eq!(status, StatusCode::OK);
        serde_json::from_str::<Order>(&body).unwrap().is_confirmed
    }

    #[tokio::test]
    async fn a_request_publishes_and_its_handler_takes_effect() {
        let shop = shop().await;
        assert_eq!(answer(&shop, order(r#"{"id":"o1","cents":1250}"#)).await.0, StatusCode::CREATED);
        assert!(!is_confirmed(&shop, "o1").await);
        assert_eq!(shop.worker().drain().await.unwrap().done, 1);
        assert!(is_confirmed(&shop, "o1").await);
    }

    #[tokio::test]
    async fn a_request_that_comes_twice_publishes_once() {
        let shop = shop().await;
        assert_eq!(answer(&shop, order(r#"{"id":"o1","cents":1250}"#)).await.0, StatusCode::CREATED);
        assert_eq!(shop.worker().drain().await.unwrap().done, 1);
        let (status, body) = answer(&shop, order(r#"{"id":"o1","cents":1250}"#)).await;
        assert_eq!(status, StatusCode::OK);
        assert!(serde_json::from_str::<Order>(&body).unwrap().is_confirmed, "it is the stored one");
        assert_eq!(shop.worker().drain().await.unwrap().done, 0);
    }

    #[tokio::test]
    async fn another_order_under_the_same_id_is_refused() {
        let shop = shop().await;
        assert_eq!(answer(&shop, order(r#"{"id":"o1","cents":1250}"#)).await.0, StatusCode::CREATED);
        assert_eq!(answer(&shop, order(r#"{"id":"o1","cents":99}"#)).await.0, StatusCode::CONFLICT);
    }

    #[tokio::test]
    async fn an_order_that_is_not_there_is_not_found() {
        let request = Request::get("/orders/o2").body(Body::empty()).unwrap();
        assert_eq!(answer(&shop().await, request).await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn a_database_that_is_closed_is_not_healthy() {
        let shop = shop().await;
        let ask = || Request::get("/healthy").body(Body::empty()).unwrap();
        assert_eq!(answer(&shop, ask()).await.0, StatusCode::NO_CONTENT);
        shop.db.close().await;
        assert_eq!(answer(&shop, ask()).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
