//! Names, payloads and bodies of people who mean harm, or of broken programs.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use tito_console::Part;
use tito_console::api::{Code, DeadLetter, Page, PendingEvent, PendingState};
use tito_core::event::TitoEvent;
use tito_testkit::Harness;
use tito_worker::{Publish, RetryPolicy, Subscription};

use crate::support::{OPERATOR, READER, Served};

#[tokio::test]
async fn a_body_that_is_not_what_was_expected_says_where() {
    let served = Served::new().await;
    served.queue.create_topic("mail", 1).await.unwrap();
    let table: [(&[u8], &str); 8] = [
        (b"{", "EOF"),
        (b"[]", "invalid"),
        (b"\xff\xfe", "expected value"),
        (br#"{"entity":1}"#, "entity"),
        (br#"{"entity":"a","unknown":1}"#, "unknown"),
        (br#"{"entity":"a"} {"entity":"b"}"#, "trailing"),
        (br#"{"entity":"a","at":9223372036854775807}"#, "no time"),
        (br#"{"entity":"a","headers":{"x":{}}}"#, "headers.x"),
    ];
    for (body, text) in table {
        let request = Request::post("/v1/topics/mail/events").header("authorization", format!("Bearer {OPERATOR}"));
        let response = served.send(request.body(Body::from(body.to_vec())).unwrap()).await;
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let said = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(status == 400 && said.contains(text), "{}: {said}", String::from_utf8_lossy(body));
    }
    let request = Request::post("/v1/topics/mail/events").header("authorization", format!("Bearer {OPERATOR}"));
    let request = request.header("content-type", "text/plain").body(Body::from(r#"{"entity":"a"}"#)).unwrap();
    assert_eq!(served.send(request).await.status(), 400, "what a form of another site could send");
}

#[tokio::test]
async fn payloads_that_are_nested_deep_neither_pass_nor_break_anything() {
    let served = Served::new().await;
    served.queue.create_topic("mail", 1).await.unwrap();
    for depth in [1_000, 400_000] {
        let body = format!(r#"{{"entity":"a","payload":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        let request = Request::post("/v1/topics/mail/events").header("authorization", format!("Bearer {OPERATOR}"));
        let status = served.send(request.body(Body::from(body)).unwrap()).await.status();
        assert_eq!(status, 400, "{depth}");
    }
}

#[tokio::test]
async fn hostile_names_and_errors_are_shown_as_they_are_and_in_json() {
    let served = Served::new().await;
    let entity = "<script>\u{202e}\"\\\u{1f}\u{0}é";
    served.publish(Publish::new("mail", entity).header(entity, entity)).await;
    let once = Subscription::default().retry(RetryPolicy::default().attempts(1));
    let fail = move |_: TitoEvent| async move { Err::<(), _>(entity.repeat(100)) };
    Harness::new(&served.db, &served.clock).subscribe_with("mail", once, fail).drain().await.unwrap();
    let letters: Page<DeadLetter> = served.get("/v1/queues/mail/dead").await;
    let event = letters.items[0].event.as_ref().unwrap();
    assert_eq!((event.entity.as_str(), event.headers[entity].as_str()), (entity, entity));
    assert!(event.failures[0].error.starts_with(entity));
    for name in ["%00", "%0a", "a%3Ab", "%E2%80%AE%00", "x".repeat(2_000).as_str(), "%ff"] {
        let (status, problem) = served.refused(Method::GET, READER, &format!("/v1/queues/{name}/events"), None).await;
        assert_eq!((status, problem.code), (400, Code::Invalid), "{name}: {}", problem.message);
    }
}

#[tokio::test]
async fn stored_bytes_that_are_no_event_are_shown_as_text() {
    let served = Served::new().await;
    served.publish(Publish::new("mail", "user:1")).await;
    let key = served.queue.peek("mail", 1, None).await.unwrap()[0].key.as_bytes().to_vec();
    let put = |tx: tito_core::Transaction| async move { tx.system_keys().put(key, b"\xff\xfe<b>".to_vec()).await };
    served.db.transaction(put).await.unwrap();
    let pending: Page<PendingEvent> = served.get("/v1/queues/mail/events").await;
    assert_eq!(pending.items[0].state, PendingState::Malformed);
    assert_eq!(pending.items[0].bytes.as_deref(), Some("\u{fffd}\u{fffd}<b>"));
}

#[tokio::test]
async fn what_is_redacted_is_in_no_answer() {
    let hide = |what: &tito_console::Redacted<'_>, value: Value| match what.part {
        Part::Payload => json!({ "kept": value["kept"], "of": what.of }),
        _ => json!("hidden"),
    };
    let served = Served::with(|console| console.redact(hide)).await;
    let payload = json!({ "kept": 1, "card": "secret" });
    served.publish(Publish::new("mail", "user:1").payload(&payload).unwrap().header("token", "secret")).await;
    let once = Subscription::default().retry(RetryPolicy::default().attempts(1));
    let fail = |_: TitoEvent| async { Err::<(), _>("secret was refused") };
    Harness::new(&served.db, &served.clock).subscribe_with("mail", once, fail).drain().await.unwrap();
    let letters: Page<DeadLetter> = served.get("/v1/queues/mail/dead").await;
    let event = letters.items[0].event.as_ref().unwrap();
    assert_eq!(event.payload.as_ref().unwrap().get(), r#"{"kept":1,"of":"mail"}"#);
    let id = event.id;
    for path in [
        "/v1/queues/mail/dead".to_string(),
        "/v1/queues/mail/dead/groups".to_string(),
        format!("/v1/topics/mail/events/{id}"),
        format!("/v1/queues/mail/events/{id}/explain"),
        "/v1/queues/mail/entity?entity=user:1".to_string(),
    ] {
        let (status, bytes) = served.ask(Method::GET, READER, &path, None).await;
        let text = String::from_utf8(bytes).unwrap();
        assert!(status == 200 && text.contains("hidden") && !text.contains("secret"), "{path}: {text}");
    }
}
