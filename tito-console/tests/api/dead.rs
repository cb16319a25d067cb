//! Dead letters.

use axum::http::Method;
use serde_json::json;
use tito_console::api::{Affected, Code, DeadGroups, DeadLetter, Page, Redriven};
use tito_core::event::TitoEvent;
use tito_testkit::Harness;
use tito_worker::{Publish, RetryPolicy, Subscription};

use crate::support::{OPERATOR, Served};

/// A queue whose events have all failed for good: two with one kind of error, one with another.
async fn served() -> Served {
    let served = Served::new().await;
    for entity in ["user:1", "user:2", "order:3"] {
        served.publish(Publish::new("mail", entity)).await;
    }
    let once = Subscription::default().retry(RetryPolicy::default().attempts(1));
    let fail = |event: TitoEvent| async move {
        Err::<(), _>(match event.entity.strip_prefix("user:") {
            Some(id) => format!("no mailbox {id}"),
            None => "connection refused".to_string(),
        })
    };
    Harness::new(&served.db, &served.clock).subscribe_with("mail", once, fail).drain().await.unwrap();
    served
}

async fn letters(served: &Served) -> Vec<DeadLetter> {
    served.get::<Page<DeadLetter>>("/v1/queues/mail/dead").await.items
}

#[tokio::test]
async fn dead_letters_are_listed_in_pages_and_grouped() {
    let served = served().await;
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page: Page<DeadLetter> = served.get(&format!("/v1/queues/mail/dead?limit=2{after}")).await;
        found.extend(page.items);
        let Some(next) = page.next else { break };
        after = format!("&after={next}");
    }
    assert_eq!(found.len(), 3);
    let groups: DeadGroups = served.get("/v1/queues/mail/dead/groups").await;
    assert_eq!((groups.searched, groups.items.len(), groups.items[0].count), (3, 2, 2));
    let print = groups.items[0].fingerprint.as_ref().unwrap();
    let redriven: Redriven = served.post("/v1/queues/mail/dead/redrive", json!({ "fingerprint": print })).await;
    assert_eq!(redriven.events, 2);
    assert_eq!(letters(&served).await[0].event.as_ref().unwrap().entity, "order:3");
}

#[tokio::test]
async fn those_that_are_meant_are_redriven_and_purged() {
    for body in [
        json!({ "error": "refused" }),
        json!({ "entity": "order:3" }),
        json!({ "entity": "order:3", "error": "refused", "from": 0 }),
    ] {
        for what in ["redrive", "purge"] {
            let served = served().await;
            let would: serde_json::Value =
                served.post(&format!("/v1/queues/mail/dead/{what}?dry_run=true"), body.clone()).await;
            assert_eq!((would["dry_run"].clone(), letters(&served).await.len()), (json!(true), 3), "{body}");
            let done: serde_json::Value = served.post(&format!("/v1/queues/mail/dead/{what}"), body.clone()).await;
            let count = if what == "redrive" { "events" } else { "affected" };
            assert_eq!((would[count].clone(), done[count].clone()), (json!(1), json!(1)), "{what} {body}");
            assert_eq!(letters(&served).await.len(), 2, "{what} {body}");
        }
    }
}

#[tokio::test]
async fn one_is_named_by_its_key() {
    let served = served().await;
    let key = &letters(&served).await[0].key;
    let purged: Affected = served.post("/v1/queues/mail/dead/purge", json!({ "key": key })).await;
    let again: Affected = served.post("/v1/queues/mail/dead/purge", json!({ "key": key })).await;
    assert_eq!((purged.affected, again.affected, letters(&served).await.len()), (1, 0, 2));
    let redriven: Redriven = served.post("/v1/queues/mail/dead/redrive", json!({ "all": true })).await;
    assert_eq!((redriven.events, letters(&served).await.len()), (2, 0));
}

#[tokio::test]
async fn all_of_them_are_never_meant_by_leaving_something_out() {
    let served = served().await;
    for body in [json!({}), json!({ "all": true, "entity": "a" }), json!({ "key": "a", "id": null, "all": true })] {
        let path = "/v1/queues/mail/dead/redrive";
        let (status, problem) = served.refused(Method::POST, OPERATOR, path, Some(&body)).await;
        assert_eq!((status, problem.code), (400, Code::Invalid), "{body}");
    }
    let (status, _) = served.refused(Method::POST, OPERATOR, "/v1/queues/mail/dead/redrive", None).await;
    assert_eq!((status, letters(&served).await.len()), (400, 3));
}
