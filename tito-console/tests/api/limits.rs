//! Bodies, times and numbers are bounded.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request};
use serde_json::json;
use tito_console::ConsoleLimits;
use tito_console::api::Code;

use crate::support::{OPERATOR, READER, Served};

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let served = Served::with(|console| console.limits(ConsoleLimits::default().body_bytes(100))).await;
    served.queue.create_topic("mail", 1).await.unwrap();
    let body = json!({ "entity": "a", "payload": "x".repeat(100) });
    let path = "/v1/topics/mail/events";
    let (status, problem) = served.refused(Method::POST, OPERATOR, path, Some(&body)).await;
    assert_eq!((status, problem.code), (413, Code::TooLarge));
    // An event that is larger than the engine takes.
    let served = Served::with(|console| console.limits(ConsoleLimits::default().body_bytes(64 << 20))).await;
    served.queue.create_topic("mail", 1).await.unwrap();
    let body = json!({ "entity": "a", "payload": "x".repeat(16 << 20) });
    let (status, problem) = served.refused(Method::POST, OPERATOR, path, Some(&body)).await;
    assert_eq!((status, problem.code), (413, Code::TooLarge), "{}", problem.message);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for_for_ever() {
    let served = Served::new().await;
    served.queue.create_topic("mail", 1).await.unwrap();
    let never = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let request = Request::post("/v1/topics/mail/resize").header("authorization", format!("Bearer {OPERATOR}"));
    let mut sending = std::pin::pin!(served.send(request.body(never).unwrap()));
    assert!(futures::poll!(&mut sending).is_pending());
    served.clock.advance(Duration::from_secs(11));
    assert_eq!(sending.await.status(), 408);
}

#[tokio::test]
async fn what_takes_too_long_is_ended() {
    let served = Served::with(|console| console.limits(ConsoleLimits::default().body_time(Duration::MAX))).await;
    served.queue.create_topic("mail", 1).await.unwrap();
    let never = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let request = Request::post("/v1/topics/mail/resize").header("authorization", format!("Bearer {OPERATOR}"));
    let mut sending = std::pin::pin!(served.send(request.body(never).unwrap()));
    assert!(futures::poll!(&mut sending).is_pending());
    served.clock.advance(Duration::from_secs(121));
    assert_eq!(sending.await.status(), 504);
}

#[tokio::test]
async fn more_requests_than_may_be_under_way_are_refused() {
    let served = Served::with(|console| console.limits(ConsoleLimits::default().calls(1))).await;
    let never = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let request = Request::post("/v1/topics/mail/resize").header("authorization", format!("Bearer {OPERATOR}"));
    {
        let mut sending = std::pin::pin!(served.send(request.body(never).unwrap()));
        assert!(futures::poll!(&mut sending).is_pending());
        let (status, problem) = served.refused(Method::GET, READER, "/v1/topics", None).await;
        assert_eq!((status, problem.code, problem.retryable), (429, Code::Busy, true));
        let live = served.send(Request::get("/live").body(Body::empty()).unwrap()).await;
        assert_eq!(live.status(), 200, "a busy server is live");
    }
    let _: serde_json::Value = served.get("/v1/topics").await;
}
