//! Answers that come bit by bit.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use futures::StreamExt;
use serde_json::Value;
use tito_console::ConsoleLimits;
use tito_console::api::{Code, StoreEvent, Verified};
use tito_eventstore::types::Codec;
use tito_eventstore::{EventStoreConfig, Manager, NewEvent};
use tito_worker::Publish;

use crate::support::{DESTROYER, OPERATOR, READER, Served};

fn request(method: Method, token: &str, path: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_backup_is_streamed_and_can_be_restored_from() {
    let served = Served::new().await;
    served.publish(Publish::new("mail", "user:1").payload(&"x".repeat(200_000)).unwrap()).await;
    let (status, problem) = served.refused(Method::GET, READER, "/v1/backup", None).await;
    assert_eq!((status, problem.code), (403, Code::Forbidden));
    let response = served.send(request(Method::GET, DESTROYER, "/v1/backup?bytes_per_second=1000000000000000")).await;
    assert_eq!(response.status(), StatusCode::OK);
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert!(tito_backup::check(&bytes[..]).await.unwrap().entries > 2);
}

#[tokio::test]
async fn a_verification_tells_how_far_it_is_and_what_it_found() {
    let served = Served::new().await;
    served.publish(Publish::new("mail", "user:1")).await;
    let response = served.send(request(Method::POST, OPERATOR, "/v1/verify")).await;
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let lines: Vec<Value> = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let verified: Verified = serde_json::from_value(lines.last().unwrap()["verified"].clone()).unwrap();
    assert!(verified.is_sound && verified.entries > 1, "{verified:?}");
}

#[tokio::test]
async fn a_tail_shows_what_is_appended_and_gives_its_place_back_when_it_ends() {
    let served = Served::with(|console| console.limits(ConsoleLimits::default().streams(1))).await;
    let manager = Manager::new(served.db.clone());
    let bank = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    bank.append(NewEvent::raw("account.17", "opened", "ada")).await.unwrap();
    let mut body =
        served.send(request(Method::GET, READER, "/v1/stores/bank/tail")).await.into_body().into_data_stream();
    for sequence in 1..=2 {
        let line = body.next().await.unwrap().unwrap();
        assert_eq!(serde_json::from_slice::<StoreEvent>(&line).unwrap().sequence, sequence);
        bank.append(NewEvent::raw("account.17", "renamed", "ada")).await.unwrap();
    }
    let (status, problem) = served.refused(Method::GET, READER, "/v1/stores/bank/tail", None).await;
    assert_eq!((status, problem.code, problem.retryable), (429, Code::Busy, true));
    drop(body);
    let response = served.send(request(Method::GET, READER, "/v1/stores/bank/tail?limit=3")).await;
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 3);
    manager.close().await;
}

#[tokio::test]
async fn what_reads_everything_is_neither_slow_nor_done_twice_at_once() {
    let served = Served::new().await;
    for (method, path) in [(Method::POST, "/v1/verify"), (Method::GET, "/v1/backup")] {
        let path = format!("{path}?bytes_per_second=1");
        let (status, problem) = served.refused(method, DESTROYER, &path, None).await;
        assert_eq!((status, problem.code), (400, Code::Invalid), "{path}: {}", problem.message);
    }
    let first = served.send(request(Method::POST, OPERATOR, "/v1/verify")).await;
    assert_eq!(first.status(), StatusCode::OK);
    let (status, problem) = served.refused(Method::POST, OPERATOR, "/v1/verify", None).await;
    assert_eq!((status, problem.code, problem.retryable), (429, Code::Busy, true));
    let backup = served.send(request(Method::GET, DESTROYER, "/v1/backup")).await;
    assert_eq!(backup.status(), StatusCode::OK, "a backup has a place of its own");
    drop(first);
    assert_eq!(served.send(request(Method::POST, OPERATOR, "/v1/verify")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_verification_ends_in_time() {
    let limits = ConsoleLimits::default().walk_time(Duration::from_secs(1));
    let served = Served::with(|console| console.limits(limits)).await;
    for number in 0..20 {
        let event = Publish::new("mail", format!("user:{number}")).payload(&"x".repeat(200_000)).unwrap();
        served.publish(event).await;
    }
    let response = served.send(request(Method::POST, OPERATOR, "/v1/verify?bytes_per_second=1048576")).await;
    let reading = axum::body::to_bytes(response.into_body(), usize::MAX);
    let passing = async {
        loop {
            served.clock.advance(Duration::from_millis(100));
            tokio::task::yield_now().await;
        }
    };
    let bytes = tokio::select! {
        bytes = reading => bytes.unwrap(),
        () = passing => unreachable!("time passes for ever"),
    };
    let last = bytes.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(last).unwrap()["error"]["code"], "timed_out");
}

#[tokio::test]
async fn what_was_stored_in_several_lines_is_shown_in_one() {
    let served = Served::new().await;
    let manager = Manager::new(served.db.clone());
    let bank = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    let json = "{\r\n  \"text\": \"a\\nb\",\n  \"n\": 1\n}";
    bank.append(NewEvent::encoded("account.17", "opened", 1, Codec::Json, json)).await.unwrap();
    let response = served.send(request(Method::GET, READER, "/v1/stores/bank/tail?limit=1")).await;
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert_eq!(bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count(), 1);
    let event: StoreEvent = serde_json::from_slice(&bytes).unwrap();
    let data: Value = serde_json::from_str(event.data.as_ref().unwrap().get()).unwrap();
    assert_eq!(data, serde_json::json!({ "text": "a\nb", "n": 1 }));
    manager.close().await;
}

#[tokio::test]
async fn a_tail_ends_with_its_database() {
    let served = Served::new().await;
    let manager = Manager::new(served.db.clone());
    manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    let response = served.send(request(Method::GET, READER, "/v1/stores/bank/tail")).await;
    served.db.close().await;
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let said: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(said["error"]["code"], "unavailable");
    manager.close().await;
}

#[tokio::test]
async fn a_quiet_stream_says_now_and_then_that_it_goes_on() {
    let watch = tito_console::Watch::new();
    let limits = ConsoleLimits::default().heartbeat(Duration::from_secs(3));
    let served = Served::with(|console| console.limits(limits).watch(&watch)).await;
    let manager = Manager::new(served.db.clone());
    manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    for path in ["/v1/watch", "/v1/stores/bank/tail"] {
        let mut body = served.send(request(Method::GET, READER, path)).await.into_body().into_data_stream();
        for _ in 0..3 {
            let mut next = std::pin::pin!(body.next());
            let line = loop {
                // Until the stream waits for its time, and then for its next line.
                if let std::task::Poll::Ready(line) = futures::poll!(&mut next) {
                    break line.unwrap().unwrap();
                }
                served.clock.advance(Duration::from_secs(1));
                tokio::task::yield_now().await;
            };
            assert_eq!(&line[..], b"\n", "{path}");
        }
    }
    manager.close().await;
}

#[tokio::test]
async fn a_repair_takes_the_role_that_destroys_and_is_in_the_audit() {
    let served = Served::new().await;
    let put = |tx: tito_core::Transaction| async move {
        tx.system_keys().put(b"process:0190a000-0000-7000-8000-000000000000".to_vec(), b"{".to_vec()).await
    };
    served.db.transaction(put).await.unwrap();
    let (status, problem) = served.refused(Method::POST, OPERATOR, "/v1/verify?repair=true", None).await;
    assert_eq!((status, problem.code), (403, Code::Forbidden));
    let verified = async |query: &str| {
        let response = served.send(request(Method::POST, DESTROYER, &format!("/v1/verify{query}"))).await;
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let last = bytes.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).unwrap();
        let last: Value = serde_json::from_slice(last).unwrap();
        serde_json::from_value::<Verified>(last["verified"].clone()).unwrap()
    };
    let found = verified("").await;
    assert_eq!((found.total, found.repaired, found.is_sound), (1, 0, false), "{found:?}");
    let found = verified("?repair=true&dry_run=true").await;
    assert_eq!((found.total, found.repaired), (1, 0), "a rehearsal puts nothing right: {found:?}");
    let found = verified("?repair=true&why=a+crash").await;
    assert_eq!((found.total, found.repaired, found.is_sound), (1, 1, true), "{found:?}");
    assert!(found.differences[0].is_repaired);
    assert!(verified("").await.is_sound);
    let noted: tito_console::api::Page<StoreEvent> = served.get("/v1/stores/tito-audit/events?select=repair").await;
    let types: Vec<_> = noted.items.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(types, ["asked", "done"]);
}
