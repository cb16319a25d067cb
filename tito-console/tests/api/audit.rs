//! Who has changed what, and why.

use serde_json::{Value, json};
use tito_console::AUDIT_STORE;
use tito_console::api::{Affected, Page, StoreEvent, Topic};

use crate::support::{OPERATOR, Served};

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

#[tokio::test]
async fn whose_things_were_erased_does_not_live_on_in_the_audit() {
    let served = Served::new().await;
    let _: Value = served.post("/v1/owners/grace-17/erase", json!({})).await;
    let noted: Page<StoreEvent> = served.get(&format!("/v1/stores/{AUDIT_STORE}/events")).await;
    assert_eq!(noted.items.len(), 2);
    assert!(!format!("{noted:?}").contains("grace-17"));
}
