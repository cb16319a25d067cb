//! What takes long, and is done by any worker.

use axum::http::Method;
use serde_json::json;
use tito_console::api::{Affected, Code, Operation, Page, Rate};
use tito_worker::Publish;

use crate::support::{DESTROYER, OPERATOR, Served};

#[tokio::test]
async fn an_operation_is_begun_looked_at_and_stopped() {
    let served = Served::new().await;
    for number in 0..3 {
        served.publish(Publish::new("mail", format!("user:{number}"))).await;
    }
    let rate = Rate { events: 5, seconds: 1 };
    let body = json!({ "task": { "kind": "purge", "queue": "mail", "events": { "all": true } }, "rate": rate });
    let (status, problem) = served.refused(Method::POST, OPERATOR, "/v1/operations", Some(&body)).await;
    assert_eq!((status, problem.code), (403, Code::Forbidden));
    let counted: Affected = served.post("/v1/operations?dry_run=true", body.clone()).await;
    assert_eq!(counted, Affected { affected: 3, at_least: false, dry_run: true });
    let begun: Operation = served.post("/v1/operations?why=a+flood", body).await;
    assert_eq!((begun.who.as_str(), begun.why.as_str(), begun.state.as_str()), ("destroyer", "a flood", "waiting"));
    assert_eq!((begun.at_least, begun.rate), (3, Some(rate)));
    let redrive = json!({ "task": { "kind": "redrive", "queue": "mail", "letters": { "error": "refused" } } });
    let second: Operation = served.post("/v1/operations", redrive).await;
    let page: Page<Operation> = served.get("/v1/operations?limit=1").await;
    assert_eq!(page.items[0].id, second.id, "the latest first");
    let rest: Page<Operation> = served.get(&format!("/v1/operations?after={}", page.next.unwrap())).await;
    assert_eq!((rest.items.len(), &rest.items[0]), (1, &begun));

    served.queue.operations().run(second.id).await.unwrap();
    assert_eq!(served.get::<Operation>(&format!("/v1/operations/{}", second.id)).await.state, "done");
    let stopped: Affected = served.post(&format!("/v1/operations/{}/stop", begun.id), json!({})).await;
    let again: Affected = served.post(&format!("/v1/operations/{}/stop", begun.id), json!({})).await;
    assert_eq!((stopped.affected, again.affected), (1, 0));
}

#[tokio::test]
async fn what_is_deleted_is_said_and_never_all_by_a_slip() {
    let served = Served::new().await;
    served.publish(Publish::new("mail", "user:1")).await;
    let slips = [
        json!({ "kind": "purge_dead_letters", "queue": "mail" }),
        json!({ "kind": "purge_dead_letters", "queue": "mail", "letters": {} }),
        json!({ "kind": "purge_dead_letters", "queue": "mail", "letters": { "all": false } }),
        json!({ "kind": "purge_dead_letters", "queue": "mail", "letters": { "errors": "refused" } }),
        json!({ "kind": "purge_dead_letters", "queue": "mail", "letters": { "all": true, "error": "refused" } }),
        json!({ "kind": "purge_dead_letters", "queue": "mail", "events": { "error": "refused" } }),
        json!({ "kind": "purge_dead_letters", "queue": "mail", "letters": { "before": 1, "until": 2 } }),
        json!({ "kind": "purge", "queue": "mail" }),
        json!({ "kind": "purge", "queue": "mail", "events": null }),
        json!({ "kind": "purge", "queue": "mail", "letters": { "all": true } }),
        json!({ "kind": "redrive", "queue": "mail" }),
        json!({ "kind": "replay", "from": "mail", "into": "mail", "since": 0 }),
    ];
    for task in slips {
        let body = json!({ "task": task });
        let (status, problem) = served.refused(Method::POST, DESTROYER, "/v1/operations", Some(&body)).await;
        assert_eq!((status, problem.code), (400, Code::Invalid), "{body}: {}", problem.message);
    }
    assert_eq!(served.get::<Page<Operation>>("/v1/operations").await.items, []);
    // As `dead/purge` has it, and as it is stored.
    for name in ["before", "until"] {
        let task = json!({ "kind": "purge_dead_letters", "queue": "mail", "letters": { name: 1_700_000_000 } });
        let begun: Operation = served.post("/v1/operations", json!({ "task": task })).await;
        assert_eq!(begun.task["letters"], json!({ "until": 1_700_000_000 }), "{name}");
    }
}

#[tokio::test]
async fn a_task_that_can_not_be_used_is_refused() {
    let served = Served::new().await;
    let table = [
        (json!({ "task": { "kind": "other" } }), 400),
        (json!({ "task": 1 }), 400),
        (json!({ "task": { "kind": "purge", "queue": "mial", "events": { "all": true } } }), 404),
        (
            json!({
                "task": { "kind": "purge", "queue": "mail", "events": { "all": true } },
                "rate": { "events": 0, "seconds": 1 },
            }),
            400,
        ),
    ];
    for (body, expected) in table {
        let (status, problem) = served.refused(Method::POST, DESTROYER, "/v1/operations", Some(&body)).await;
        assert_eq!(status, expected, "{body}: {}", problem.message);
    }
    let path = "/v1/operations/00000000-0000-7000-8000-000000000000/stop";
    assert_eq!(served.refused(Method::POST, DESTROYER, path, None).await.0, 404);
}
