//! What others have said is shown only as the application wants it to be, with the name of what it is of.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use tito_console::api::{Page, StoreEvent};
use tito_console::{AUDIT_STORE, Part, Redacted};
use tito_core::Transaction;
use tito_core::event::TitoEvent;
use tito_eventstore::types::Codec;
use tito_eventstore::{EventStoreConfig, Manager, NewEvent};
use tito_testkit::Harness;
use tito_worker::{NamedStep, Publish, RetryPolicy, Stepped, Subscription, Worker};

use crate::support::{DESTROYER, READER, Served};

/// Stored bytes of which a codec tells some.
const DAMAGED: &[u8] = br#"{"partitions":"secret"}"#;

fn hide(what: &Redacted<'_>, value: Value) -> Value {
    match what.part {
        Part::Error => json!(format!("an error of {}", what.of)),
        _ => value,
    }
}

async fn served() -> Served {
    Served::with(|console| console.redact(hide)).await
}

async fn put(served: &Served, key: &[u8], value: &[u8]) {
    let (key, value) = (key.to_vec(), value.to_vec());
    let put = |tx: Transaction| async move { tx.system_keys().put(key, value).await };
    served.db.transaction(put).await.unwrap();
}

/// What is answered, in which no secret is, and the words are that stand for it.
async fn assert_hidden(served: &Served, (method, path): (Method, &str), body: Option<&Value>, of: &str) {
    let (status, bytes) = served.ask(method, DESTROYER, path, body).await;
    let text = String::from_utf8(bytes).unwrap();
    let words = format!("an error of {of}");
    assert!(text.contains(&words) && !text.contains("secret"), "{path}: {status} {text}");
}

#[tokio::test]
async fn what_a_codec_says_of_a_topic_is_hidden_on_every_route_of_it() {
    let served = served().await;
    served.queue.create_topic("mail", 1).await.unwrap();
    put(&served, b"topic:mail", DAMAGED).await;
    let id = "00000000-0000-7000-8000-000000000000";
    for path in [
        "/v1/topics/mail".to_string(),
        "/v1/queues/mail/stats".to_string(),
        "/v1/queues/mail/events".to_string(),
        "/v1/queues/mail/history".to_string(),
        "/v1/queues/mail/dead".to_string(),
        "/v1/queues/mail@group/dead/groups".to_string(),
        "/v1/queues/mail/leases".to_string(),
        "/v1/queues/mail/entity?entity=a".to_string(),
        format!("/v1/queues/mail/events/{id}/explain"),
        format!("/v1/topics/mail/events/{id}"),
    ] {
        assert_hidden(&served, (Method::GET, &path), None, "mail").await;
    }
    for (method, path, body) in [
        (Method::POST, "/v1/queues/mail/pause", json!({})),
        (Method::POST, "/v1/queues/mail/purge", json!({})),
        (Method::POST, "/v1/queues/mail/dead/redrive", json!({ "all": true })),
        (Method::POST, "/v1/topics/mail/events", json!({ "entity": "a" })),
        (Method::PUT, "/v1/topics/mail/groups/a", json!({})),
    ] {
        assert_hidden(&served, (method, path), Some(&body), "mail").await;
    }
    // Nor does it live on in the audit.
    let noted: Page<StoreEvent> = served.get(&format!("/v1/stores/{AUDIT_STORE}/events")).await;
    let failed: Vec<_> = noted.items.iter().filter(|event| event.event_type == "failed").collect();
    assert!(!failed.is_empty() && !format!("{noted:?}").contains("secret"), "{noted:?}");
}

#[tokio::test]
async fn what_a_codec_says_of_an_event_store_is_hidden() {
    let served = served().await;
    let manager = Manager::new(served.db.clone());
    let bank = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    bank.append(NewEvent::encoded("account.1", "opened", 1, Codec::Json, "{}")).await.unwrap();
    let all = |tx: Transaction| async move { tx.scan(tito_core::keys::KeyRange::prefix("log:"), 100).await };
    let rows = served.db.transaction(all).await.unwrap();
    let head = rows.into_iter().map(|(key, _)| key).find(|key| key.ends_with(b":head")).unwrap();
    put(&served, &head, br#"{"last":"secret"}"#).await;
    assert_hidden(&served, (Method::GET, "/v1/stores/bank"), None, "bank").await;
    put(&served, b"store:bank", br#"{"id":"secret"}"#).await;
    for path in ["/v1/stores/bank/projections", "/v1/stores/bank/reactors"] {
        assert_hidden(&served, (Method::GET, path), None, "bank").await;
    }
    manager.close().await;
}

#[tokio::test]
async fn what_a_codec_says_of_what_is_of_no_queue_is_hidden() {
    let served = served().await;
    put(&served, b"catalogue:user", br#"{"indexes":"secret"}"#).await;
    assert_hidden(&served, (Method::GET, "/v1/tables"), None, "user").await;
    put(&served, b"schedule:nightly", br#"{"paused":"secret"}"#).await;
    assert_hidden(&served, (Method::POST, "/v1/schedules/nightly/pause"), Some(&json!({})), "").await;
    let id = uuid::Uuid::nil();
    put(&served, &tito_worker::keys::operation(id), br#"{"who":"a","task":{},"done":"secret"}"#).await;
    assert_hidden(&served, (Method::GET, &format!("/v1/operations/{id}")), None, "").await;
}

#[tokio::test]
async fn why_a_projection_does_not_go_on_is_hidden() {
    let served = served().await;
    let manager = Manager::new(served.db.clone());
    let bank = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    bank.add_projection("balances").await.unwrap();
    bank.append(NewEvent::encoded("account.1", "opened", 1, Codec::Json, "{}")).await.unwrap();
    let all = |tx: Transaction| async move { tx.scan(tito_core::keys::KeyRange::prefix("log:"), 100).await };
    let rows = served.db.transaction(all).await.unwrap();
    let head = rows.iter().find(|(key, _)| key.ends_with(b":head")).unwrap();
    let number = u64::from_str_radix(std::str::from_utf8(&head.0[4..20]).unwrap(), 16).unwrap();
    let row = json!({ "sequence": 0, "failure": { "sequence": 1, "error": "the secret is out" } }).to_string();
    for generation in 0..3 {
        let key = tito_eventstore::keys::log_view_checkpoint(number, "balances", generation);
        put(&served, &key, row.as_bytes()).await;
    }
    assert_hidden(&served, (Method::GET, "/v1/stores/bank/projections"), None, "bank").await;
    manager.close().await;
}

#[tokio::test]
async fn why_an_operation_failed_is_hidden() {
    let served = served().await;
    let task = json!({ "task": { "kind": "named", "name": "index", "input": null } });
    let (_, bytes) = served.ask(Method::POST, DESTROYER, "/v1/operations", Some(&task)).await;
    let begun: Value = serde_json::from_slice(&bytes).unwrap();
    let path = format!("/v1/operations/{}", begun["id"].as_str().unwrap());
    let step = |_: NamedStep| async { Err::<Stepped, tito_core::BoxError>("the secret is out".into()) };
    let worker = Worker::builder(served.queue.clone()).operation("index", step).build();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(async move { worker.run(async { _ = stopped.await }).await });
    loop {
        let (_, bytes) = served.ask(Method::GET, READER, &path, None).await;
        if serde_json::from_slice::<Value>(&bytes).unwrap()["state"] == "failed" {
            break;
        }
        served.clock.advance(std::time::Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    assert_hidden(&served, (Method::GET, &path), None, "index").await;
    assert_hidden(&served, (Method::GET, "/v1/operations"), None, "index").await;
}

#[tokio::test]
async fn what_a_verification_says_of_rows_is_hidden_with_the_name_of_what_they_are_of() {
    let served = served().await;
    served.publish(Publish::new("mail", "user:1")).await;
    let key = served.queue.peek("mail", 1, None).await.unwrap()[0].key.as_bytes().to_vec();
    put(&served, &key, br#"{"id":"secret"}"#).await;
    put(&served, b"topic:audit", DAMAGED).await;
    put(&served, b"process:x", b"secret").await;
    let request = Request::post("/v1/verify").header("authorization", format!("Bearer {DESTROYER}"));
    let response = served.send(request.body(Body::empty()).unwrap()).await;
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(text.contains("an error of mail") && text.contains("an error of audit"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn what_a_handler_said_is_hidden_wherever_it_is_shown() {
    let watch = tito_console::Watch::new();
    let served = Served::with(|console| console.redact(hide).watch(&watch)).await;
    let request = Request::get("/v1/watch?limit=3").header("authorization", format!("Bearer {READER}"));
    let watching = served.send(request.body(Body::empty()).unwrap()).await.into_body();
    let event = served.publish(Publish::new("mail", "user:1")).await;
    let once = Subscription::default().retry(RetryPolicy::default().attempts(1));
    let fail = |_: TitoEvent| async { Err::<(), _>("the secret is out") };
    let worker = Worker::builder(served.queue.clone()).observe(watch.clone());
    Harness::of(worker, &served.clock).subscribe_with("mail", once, fail).drain().await.unwrap();
    let seen = axum::body::to_bytes(watching, usize::MAX).await.unwrap();
    let seen = String::from_utf8(seen.to_vec()).unwrap();
    assert!(seen.contains("an error of mail") && !seen.contains("secret"), "{seen}");
    for path in [
        "/v1/queues/mail/dead".to_string(),
        "/v1/queues/mail/dead/groups".to_string(),
        "/v1/queues/mail/entity?entity=user:1".to_string(),
        format!("/v1/queues/mail/events/{}/explain", event.id),
        format!("/v1/topics/mail/events/{}", event.id),
    ] {
        assert_hidden(&served, (Method::GET, &path), None, "mail").await;
    }
}
