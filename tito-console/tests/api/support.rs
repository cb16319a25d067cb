//! What the tests share: a database behind the API, and somebody who asks.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tito_console::api::{ErrorBody, Problem, Role};
use tito_console::{ByTokens, Console, ConsoleBuilder};
use tito_core::Database;
use tito_testkit::{EngineSettings, FaultEngine, TestClock};
use tito_worker::{Publish, TitoQueue};
use tower::ServiceExt;

pub(crate) const READER: &str = "reader-0123456789";
pub(crate) const OPERATOR: &str = "operator-0123456789";
pub(crate) const DESTROYER: &str = "destroyer-0123456789";

/// A database behind the API, with a token for each role.
pub(crate) struct Served {
    pub(crate) db: Database,
    pub(crate) queue: TitoQueue,
    pub(crate) clock: TestClock,
    router: Router,
}

pub(crate) fn with_tokens(db: &Database) -> ConsoleBuilder<ByTokens> {
    Console::of(db).token("reader", Role::Read, READER).token("operator", Role::Operate, OPERATOR).token(
        "destroyer",
        Role::Destroy,
        DESTROYER,
    )
}

impl Served {
    pub(crate) async fn new() -> Self {
        Self::with(|console| console).await
    }

    pub(crate) async fn with(set: impl FnOnce(ConsoleBuilder<ByTokens>) -> ConsoleBuilder<ByTokens>) -> Self {
        let clock = TestClock::new();
        let db = tito_testkit::in_memory_with(EngineSettings::default().test_clock(&clock)).await.unwrap();
        Self::of(db, clock, set)
    }

    pub(crate) fn of(
        db: Database,
        clock: TestClock,
        set: impl FnOnce(ConsoleBuilder<ByTokens>) -> ConsoleBuilder<ByTokens>,
    ) -> Self {
        let router = set(with_tokens(&db)).router().unwrap();
        Self { queue: TitoQueue::new(db.clone()), db, clock, router }
    }

    /// A database that counts what is read.
    pub(crate) async fn counting() -> Self {
        let clock = TestClock::new();
        let db = tito_testkit::in_memory_with(EngineSettings::default().test_clock(&clock)).await.unwrap();
        let db = FaultEngine::new(db).database();
        let router = with_tokens(&db).router().unwrap();
        Self { queue: TitoQueue::new(db.clone()), db, clock, router }
    }

    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    pub(crate) async fn publish(&self, event: Publish) -> tito_core::event::EventReference {
        let queue = &self.queue;
        self.db.transaction(|tx| async move { queue.publish(event, &tx).await }).await.unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn ask(
        &self,
        method: Method,
        token: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (StatusCode, Vec<u8>) {
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let response = self.send(request.body(body).unwrap()).await;
        let status = response.status();
        (status, axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec())
    }

    fn read<T: DeserializeOwned>(path: &str, (status, bytes): (StatusCode, Vec<u8>)) -> T {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    /// What a reader is answered.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        Self::read(path, self.ask(Method::GET, READER, path, None).await)
    }

    /// What somebody who may do everything is answered.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: Value) -> T {
        Self::read(path, self.ask(Method::POST, DESTROYER, path, Some(&body)).await)
    }

    pub(crate) async fn put<T: DeserializeOwned>(&self, path: &str, body: Value) -> T {
        Self::read(path, self.ask(Method::PUT, DESTROYER, path, Some(&body)).await)
    }

    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> T {
        Self::read(path, self.ask(Method::DELETE, DESTROYER, path, None).await)
    }

    /// How a request is refused.
    pub(crate) async fn refused(
        &self,
        method: Method,
        token: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, Problem) {
        let (status, bytes) = self.ask(method, token, path, body).await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body: ErrorBody = serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{path}: {error}: {text}"));
        assert_eq!(body.error.code.status(), status.as_u16(), "{path}: {text}");
        (status.as_u16(), body.error)
    }
}
