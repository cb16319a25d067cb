//! What there is.

use axum::http::Method;
use serde_json::json;
use tito_console::api::{Code, Page, PendingEvent, PendingState, QueueStats, Topic};
use tito_worker::Publish;

use crate::support::{READER, Served};

#[tokio::test]
async fn topics_come_in_pages() {
    let served = Served::new().await;
    for name in ["audit", "mail", "a/b %"] {
        served.queue.create_topic(name, 3).await.unwrap();
    }
    let (mut names, mut after) = (Vec::new(), String::new());
    loop {
        let page: Page<Topic> = served.get(&format!("/v1/topics?limit=1{after}")).await;
        names.extend(page.items.into_iter().map(|topic| topic.name));
        let Some(next) = page.next else { break };
        after = format!("&after={}", next.replace('%', "%25").replace(' ', "%20"));
    }
    names.sort();
    assert_eq!(names, ["a/b %", "audit", "mail"]);
    let topic: Topic = served.get("/v1/topics/a%2Fb%20%25").await;
    assert_eq!((topic.name.as_str(), topic.partitions), ("a/b %", 3));
}

#[tokio::test]
async fn a_queue_is_counted_and_listed() {
    let served = Served::new().await;
    let event = || Publish::new("mail", "user:1").payload(&json!({ "n": 1 })).unwrap();
    served.publish(event()).await;
    served.publish(event().delay(std::time::Duration::from_secs(60))).await;
    let stats: QueueStats = served.get("/v1/queues/mail/stats").await;
    assert_eq!((stats.total.pending, stats.total.due, stats.total.scheduled), (2, 1, 1));
    let first: Page<PendingEvent> = served.get("/v1/queues/mail/events?limit=1").await;
    assert_eq!(first.items[0].state, PendingState::Due);
    assert_eq!(first.items[0].event.as_ref().unwrap().payload.as_ref().unwrap().get(), r#"{"n":1}"#);
    let next = first.next.unwrap();
    let second: Page<PendingEvent> = served.get(&format!("/v1/queues/mail/events?after={next}")).await;
    assert_eq!((second.items.len(), second.items[0].state, second.next), (1, PendingState::Scheduled, None));
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_missing() {
    let served = Served::new().await;
    served.queue.create_topic("mail", 1).await.unwrap();
    let table = [
        ("/v1/topics/mial", 404, "the nearest is \"mail\""),
        ("/v1/queues/mial/stats", 404, "mial"),
        ("/v1/queues/mail@x/events", 404, "no group \"x\""),
        ("/v1/nothing", 404, "/v1/nothing"),
        ("/nothing", 404, "/nothing"),
        ("/v1/queues/a%00b/stats", 400, "not a valid name"),
        ("/v1/queues/%FF/stats", 400, ""),
        ("/v1/topics?limit=0", 400, "limit"),
        ("/v1/topics?limit=1001", 400, "limit"),
        ("/v1/topics?limit=x", 400, "query"),
        ("/v1/queues/mail/events?after=%25", 400, "no key"),
        ("/v1/topics/mail/events/17", 400, ""),
        ("/v1/topics/mail/events/00000000-0000-0000-0000-000000000000?entity=a", 400, "together"),
    ];
    for (path, status, text) in table {
        let (found, problem) = served.refused(Method::GET, READER, path, None).await;
        assert_eq!(found, status, "{path}: {}", problem.message);
        assert!(problem.message.contains(text), "{path}: {}", problem.message);
    }
    let (status, problem) = served.refused(Method::PATCH, READER, "/v1/topics", None).await;
    assert_eq!((status, problem.code), (405, Code::MethodNotAllowed));
}
