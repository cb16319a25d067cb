//! Who has changed what, and why.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use tito_console::AUDIT_STORE;
use tito_console::api::{Affected, Page, StoreEvent, Topic};
use tito_worker::Publish;

use crate::support::{DESTROYER, OPERATOR, READER, Served};

fn data(event: &StoreEvent) -> Value {
    serde_json::from_str(event.data.as_ref().unwrap().get()).unwrap()
}

#[tokio::test]
async fn every_change_is_in_the_audit_with_who_and_why() {
    let served = Served::new().await;
    served.queue.create_topic("mail", 1).await.unwrap();
    let _: Page<Topic> = served.get("/v1/topics").await;
    let _: Affected = served.post("/v1/queues/mail/pause?why=too+many", json!({})).await;
    let path = "/v1/queues/mial/purge?why=a+slip";
    served.refused(axum::http::Method::POST, crate::support::DESTROYER, path, None).await;
    served.refused(axum::http::Method::POST, OPERATOR, path, None).await;
    let _: Affected = served.post("/v1/queues/mail/purge?dry_run=true", json!({})).await;

    let noted: Page<StoreEvent> = served.get(&format!("/v1/stores/{AUDIT_STORE}/events")).await;
    let shown: Vec<_> = noted.items.iter().map(|event| (event.event_type.as_str(), data(event))).collect();
    assert_eq!(shown.len(), 4, "{shown:?}");
    let asked = json!({ "who": "destroyer", "what": "pause", "of": "mail", "why": "too many" });
    assert_eq!(shown[0], ("asked", asked));
    assert_eq!(shown[1], ("done", json!({})));
    let asked = json!({ "who": "destroyer", "what": "purge", "of": "mial", "why": "a slip" });
    assert_eq!(shown[2], ("asked", asked));
    assert_eq!((shown[3].0, shown[3].1["error"]["code"].clone()), ("failed", json!("not_found")));
    assert_eq!(noted.items[0].entity, noted.items[1].entity, "what came of it is noted of the same change");
    let pauses: Page<StoreEvent> = served.get(&format!("/v1/stores/{AUDIT_STORE}/events?select=pause")).await;
    assert_eq!(pauses.items.len(), 2);
}

/// What is noted, once so many changes are.
async fn noted(served: &Served, events: usize) -> Vec<StoreEvent> {
    for _ in 0..10_000 {
        let (status, bytes) = served.ask(Method::GET, READER, &format!("/v1/stores/{AUDIT_STORE}/events"), None).await;
        let items =
            if status == 200 { serde_json::from_slice::<Page<StoreEvent>>(&bytes).unwrap().items } else { Vec::new() };
        if items.len() >= events {
            return items;
        }
        tokio::task::yield_now().await;
    }
    panic!("the audit has fewer than {events} events")
}

#[tokio::test]
async fn a_change_that_is_broken_off_is_noted_as_unknown() {
    let limits = tito_console::ConsoleLimits::default().change_time(std::time::Duration::ZERO);
    let served = Served::with(|console| console.limits(limits)).await;
    served.queue.create_topic("mail", 1).await.unwrap();
    let path = "/v1/queues/mail/pause?why=too+many";
    assert_eq!(served.refused(Method::POST, OPERATOR, path, None).await.0, 504);
    let items = noted(&served, 1).await;
    let unknown = items.iter().find(|event| event.event_type == "unknown");
    let unknown = match unknown {
        Some(unknown) => unknown.clone(),
        None => noted(&served, 2).await.into_iter().find(|event| event.event_type == "unknown").unwrap(),
    };
    assert_eq!(data(&unknown), json!({ "who": "operator", "what": "pause", "of": "mail", "why": "too many" }));
}

#[tokio::test]
async fn a_backup_is_done_when_it_is_and_not_before() {
    let served = Served::new().await;
    served.publish(Publish::new("mail", "user:1").payload(&"x".repeat(900_000)).unwrap()).await;
    served.publish(Publish::new("mail", "user:2").payload(&"x".repeat(900_000)).unwrap()).await;
    let request = || {
        Request::get("/v1/backup?bytes_per_second=1000000000000000")
            .header("authorization", format!("Bearer {DESTROYER}"))
    };
    let response = served.send(request().body(Body::empty()).unwrap()).await;
    axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert_eq!(noted(&served, 2).await[1].event_type, "done");
    // More than lies between the two ends is never written.
    drop(served.send(request().body(Body::empty()).unwrap()).await);
    let types: Vec<_> = noted(&served, 4).await.into_iter().map(|event| event.event_type).collect();
    assert_eq!(types[2..], ["asked", "unknown"]);
}

#[tokio::test]
async fn a_task_as_long_as_a_body_is_noted_too() {
    let served = Served::new().await;
    let body = json!({ "task": { "kind": "named", "name": "index", "input": "ä".repeat(350_000) } });
    served.ask(Method::POST, DESTROYER, "/v1/operations", Some(&body)).await;
    let items = noted(&served, 2).await;
    assert_eq!(items[0].event_type, "asked");
    assert!(data(&items[0])["of"].as_str().unwrap().len() <= 1_000);
}

#[tokio::test]
async fn whose_things_were_erased_does_not_live_on_in_the_audit() {
    let served = Served::new().await;
    let _: Value = served.post("/v1/owners/grace-17/erase", json!({})).await;
    let noted: Page<StoreEvent> = served.get(&format!("/v1/stores/{AUDIT_STORE}/events")).await;
    assert_eq!(noted.items.len(), 2);
    assert!(!format!("{noted:?}").contains("grace-17"));
}
