//! Indexes of tables, and operations that need the application.

use axum::http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tito_console::api::{Affected, Code, Operation, Page, Table};
use tito_core::prelude::*;
use tito_worker::Worker;

use crate::support::{DESTROYER, OPERATOR, Served};

#[derive(Clone, Serialize, Deserialize, TitoModel)]
struct User {
    id: String,
    #[tito(index(name = "by_email", unique))]
    email: String,
}

async fn served() -> Served {
    let served = Served::new().await;
    let users = served.db.model::<User>();
    served
        .db
        .transaction(|tx| async move {
            for id in ["ada", "bob"] {
                users.insert(&User { id: id.to_string(), email: format!("{id}@example.com") }, &tx).await?;
            }
            Ok(())
        })
        .await
        .unwrap();
    served
}

#[tokio::test]
async fn an_index_is_reindexed_by_whoever_has_the_model_and_dropped_by_whoever_may() {
    let served = served().await;
    let body = json!({ "task": { "kind": "reindex", "table": "user", "index": "by_email" } });
    let begun: Operation = served.post("/v1/operations", body.clone()).await;
    assert_eq!((begun.at_least, begun.state.as_str()), (2, "waiting"));
    let worker = Worker::builder(served.queue.clone()).model::<User>().build();
    worker.run_operation(begun.id).await.unwrap();
    let done: Operation = served.get(&format!("/v1/operations/{}", begun.id)).await;
    assert_eq!((done.state.as_str(), done.searched), ("done", 2));
    assert_eq!(served.ask(Method::POST, OPERATOR, "/v1/operations", Some(&body)).await.0, 200, "it deletes nothing");

    let path = "/v1/tables/user/indexes/by_email";
    assert_eq!(served.refused(Method::DELETE, OPERATOR, path, None).await.1.code, Code::Forbidden);
    let counted: Affected = served.delete(&format!("{path}?dry_run=true")).await;
    assert_eq!(counted, Affected { affected: 2, at_least: false, dry_run: true });
    assert_eq!(served.delete::<Affected>(path).await.affected, 2, "entries");
    let tables: Page<Table> = served.get("/v1/tables").await;
    assert!(tables.items[0].indexes.is_empty(), "{tables:?}");
    for path in [path, "/v1/tables/users/indexes/by_email"] {
        assert_eq!(served.refused(Method::DELETE, DESTROYER, path, None).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn what_nobody_would_take_up_or_no_task_knows_is_refused() {
    let served = served().await;
    for task in [
        json!({ "kind": "reindex", "table": "usr", "index": "by_email" }),
        json!({ "kind": "reindex", "table": "user" }),
        json!({ "kind": "rebuild", "store": "bank" }),
        json!({ "kind": "resume", "queue": "mail" }),
    ] {
        let body = json!({ "task": task });
        let (status, problem) = served.refused(Method::POST, DESTROYER, "/v1/operations", Some(&body)).await;
        assert_eq!((status, problem.code), (400, Code::Invalid), "{body}: {}", problem.message);
    }
    let resume: Operation = served.post("/v1/operations", json!({ "task": { "kind": "resume" } })).await;
    assert_eq!(served.queue.operations().run(resume.id).await.unwrap().done, 0);
}
