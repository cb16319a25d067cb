//! What an operator changes.

use std::time::Duration;

use axum::http::Method;
use serde_json::json;
use tito_console::api::{
    Affected, Code, DoneEvent, Fleet, FoundEvent, FoundIn, Limits, Page, PendingEvent, PendingState, Published,
    QueueStats, Rate, Recurrence, Replayed, Schedule, Topic, Worker,
};
use tito_core::event::TitoEvent;
use tito_testkit::Harness;
use tito_worker::{Publish, RetryPolicy, Schedule as Periodic, Subscription};

use crate::support::{DESTROYER, OPERATOR, Served};

async fn pending(served: &Served, queue: &str) -> Vec<PendingEvent> {
    served.get::<Page<PendingEvent>>(&format!("/v1/queues/{queue}/events")).await.items
}

#[tokio::test]
async fn a_topic_gets_partitions_and_groups() {
    let served = Served::new().await;
    served.queue.create_topic("mail", 2).await.unwrap();
    served.publish(Publish::new("mail", "user:1")).await;
    let _: Affected = served.post("/v1/topics/mail/resize", json!({ "partitions": 4 })).await;
    let topic: Topic = served.put("/v1/topics/mail/groups/billing", json!({ "start": "history" })).await;
    assert_eq!((topic.partitions, topic.groups["billing"].queue.as_str()), (4, "mail@billing"));
    assert_eq!(pending(&served, "mail@billing").await.len(), 1);
    let would: Affected = served.delete("/v1/topics/mail/groups/billing?dry_run=true").await;
    assert_eq!(would, Affected { affected: 1, at_least: false, dry_run: true });
    let topic: Topic = served.delete("/v1/topics/mail/groups/billing").await;
    assert!(topic.groups.is_empty(), "{topic:?}");
}

#[tokio::test]
async fn what_is_not_there_is_not_made_by_a_slip() {
    let served = Served::new().await;
    let table = [
        (Method::POST, "/v1/topics/mial/resize", json!({ "partitions": 4 })),
        (Method::PUT, "/v1/topics/mial/groups/a", json!({})),
        (Method::POST, "/v1/topics/mial/events", json!({ "entity": "a" })),
        (Method::POST, "/v1/queues/mial/pause", json!({})),
        (Method::POST, "/v1/schedules/mial/pause", json!({})),
        (Method::DELETE, "/v1/schedules/mial", json!({})),
        (Method::POST, "/v1/topics/mial/events/00000000-0000-7000-8000-000000000000/cancel", json!({})),
    ];
    for (method, path, body) in table {
        let (status, problem) = served.refused(method, DESTROYER, path, Some(&body)).await;
        assert_eq!((status, problem.code), (404, Code::NotFound), "{path}: {}", problem.message);
    }
    let topics: Page<Topic> = served.get("/v1/topics").await;
    assert_eq!(topics.items, []);
}

#[tokio::test]
async fn an_event_is_published_found_moved_and_cancelled() {
    let served = Served::new().await;
    served.queue.create_topic("mail", 2).await.unwrap();
    let at = served.db.now().await.unwrap().seconds() + 3_600;
    let body = json!({ "entity": "user:1", "at": at, "action": "remind", "headers": { "a": "b" }, "owner": "ada",
        "payload": { "n": [1.5, null] } });
    let published: Published = served.post("/v1/topics/mail/events", body).await;
    let path = format!("/v1/topics/mail/events/{}", published.id);
    for query in ["".to_string(), format!("?entity=user%3A1&timestamp={}", published.timestamp)] {
        let found: Page<FoundEvent> = served.get(&format!("{path}{query}")).await;
        let event = found.items[0].event.as_ref().unwrap();
        assert_eq!((found.items.len(), found.items[0].found_in), (1, FoundIn::Pending), "{query}");
        assert_eq!((event.action.as_str(), event.owner.as_deref()), ("remind", Some("ada")));
        assert_eq!(event.payload.as_ref().unwrap().get(), r#"{"n":[1.5,null]}"#);
    }
    let later: Published = served.post(&format!("{path}/reschedule"), json!({ "at": at + 60 })).await;
    assert_eq!(later.timestamp, at + 60);
    let _: Published = served.post(&format!("{path}/run"), json!({})).await;
    assert_eq!(pending(&served, "mail").await[0].state, PendingState::Due);
    let would: Affected = served.post(&format!("{path}/cancel?dry_run=true"), json!({})).await;
    assert_eq!((would.affected, would.dry_run), (1, true));
    assert_eq!(pending(&served, "mail").await.len(), 1, "a rehearsal does nothing");
    let _: Affected = served.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!(pending(&served, "mail").await.len(), 0);
}

#[tokio::test]
async fn a_queue_is_paused_resumed_purged_and_replayed() {
    let served = Served::new().await;
    served.queue.create_topic("mail", 1).await.unwrap();
    served.queue.set_history("mail", Some(Duration::from_secs(3_600))).await.unwrap();
    served.publish(Publish::new("mail", "user:1")).await;
    let _: Affected = served.post("/v1/queues/mail/pause?why=too%20many%20mails", json!({})).await;
    assert!(served.get::<Topic>("/v1/topics/mail").await.is_paused);
    let _: Affected = served.post("/v1/queues/mail/resume", json!({})).await;
    assert!(!served.get::<Topic>("/v1/topics/mail").await.is_paused);

    Harness::new(&served.db, &served.clock)
        .subscribe("mail", |_: TitoEvent| async { Ok::<_, String>(()) })
        .drain()
        .await
        .unwrap();
    let done: Page<DoneEvent> = served.get("/v1/queues/mail/history").await;
    assert_eq!(done.items.len(), 1);
    assert!(done.items[0].event.as_ref().unwrap().done.is_some());
    let replayed: Replayed = served.post("/v1/queues/mail/replay", json!({ "into": "mail" })).await;
    assert_eq!(replayed.events, 1);
    let would: Affected = served.post("/v1/queues/mail/purge?dry_run=true", json!({})).await;
    assert_eq!(would, Affected { affected: 1, at_least: false, dry_run: true });
    let purged: Affected = served.post("/v1/queues/mail/purge", json!({})).await;
    assert_eq!(purged, Affected { affected: 1, at_least: false, dry_run: false });
    let (status, problem) = served.refused(Method::POST, OPERATOR, "/v1/queues/mail/pause?dry_run=true", None).await;
    assert_eq!((status, problem.code), (400, Code::Invalid), "{}", problem.message);
}

#[tokio::test]
async fn a_schedule_is_listed_paused_and_removed() {
    let served = Served::new().await;
    let nightly = Periodic::cron("nightly/1", "0 3 * * *").publishes(Publish::new("report", "system"));
    served.queue.put_schedule(nightly).await.unwrap();
    let _: Affected = served.post("/v1/schedules/nightly%2F1/pause", json!({})).await;
    let listed: Page<Schedule> = served.get("/v1/schedules").await;
    assert_eq!((listed.items[0].name.as_str(), listed.items[0].is_paused), ("nightly/1", true));
    let _: Affected = served.post("/v1/schedules/nightly%2F1/resume", json!({})).await;
    let would: Affected = served.delete("/v1/schedules/nightly%2F1?dry_run=true").await;
    assert_eq!((would.affected, would.dry_run), (1, true));
    let _: Affected = served.delete("/v1/schedules/nightly%2F1").await;
    assert_eq!(served.get::<Page<Schedule>>("/v1/schedules").await.items, []);
}

#[tokio::test]
async fn a_queue_is_slowed_down_and_paused_for_a_time() {
    let served = Served::new().await;
    served.queue.create_topic("mail", 1).await.unwrap();
    let until = served.db.now().await.unwrap().seconds() + 60;
    let limits = Limits { rate: Some(Rate { events: 5, seconds: 1 }), concurrency: Some(2) };
    let _: Affected = served.put("/v1/queues/mail/limits", json!(limits)).await;
    let _: Affected = served.post("/v1/queues/mail/pause", json!({ "until": until })).await;
    let stats: QueueStats = served.get("/v1/queues/mail/stats").await;
    assert_eq!((stats.limits, stats.is_paused, stats.paused_until), (limits, true, Some(until)));
    let _: Affected = served.put("/v1/queues/mail/limits", json!({})).await;
    assert_eq!(served.get::<QueueStats>("/v1/queues/mail/stats").await.limits, Limits::default());
    let path = "/v1/queues/mail/limits";
    let (status, _) = served.refused(Method::PUT, OPERATOR, path, Some(&json!({ "concurrency": 0 }))).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn what_is_kept_of_a_topic_is_set() {
    let served = Served::new().await;
    served.queue.create_topic("mail", 1).await.unwrap();
    let topic: Topic = served.put("/v1/topics/mail/kept", json!({ "history_seconds": 60 })).await;
    assert_eq!(topic.history_seconds, 60);
    let body = json!({ "history_seconds": 0, "history_events": 5, "dead_letters": { "events": 10 } });
    let topic: Topic = served.put("/v1/topics/mail/kept", body).await;
    assert_eq!(topic.history_seconds, 0);
    assert_eq!((topic.history_events, topic.dead_letter_events, topic.dead_letter_seconds), (5, 10, 0));
    let stored = tito_core::event::Topic::find(&served.db, "mail").await.unwrap().unwrap();
    assert_eq!((stored.history_events, stored.dead_letter_events, stored.dead_letter_seconds), (5, 10, 0));
}

#[tokio::test]
async fn what_would_be_deleted_is_counted_before_less_is_kept() {
    let served = Served::new().await;
    let queue = &served.queue;
    queue.set_history("mail", Some(Duration::from_secs(86_400))).await.unwrap();
    let once = Subscription::default().retry(RetryPolicy::default().attempts(1));
    let worker =
        tito_worker::Worker::builder(queue.clone()).subscribe_with("mail", once, |event: TitoEvent| async move {
            if event.entity.starts_with("bad") { Err("no".to_string()) } else { Ok(()) }
        });
    let worker = worker.build();
    for entity in ["good:1", "bad:1", "bad:2"] {
        served.publish(Publish::new("mail", entity)).await;
    }
    worker.drain().await.unwrap();
    served.clock.advance(Duration::from_secs(600));
    for entity in ["good:2", "bad:3"] {
        served.publish(Publish::new("mail", entity)).await;
    }
    worker.drain().await.unwrap();
    let path = "/v1/topics/mail/kept?dry_run=true";
    for (body, affected) in [
        (json!({}), 0),
        (json!({ "history_seconds": 90_000, "dead_letters": {} }), 0),
        (json!({ "history_seconds": 60 }), 1),
        (json!({ "history_seconds": 0 }), 2),
        (json!({ "history_events": 1 }), 1),
        (json!({ "dead_letters": { "seconds": 60 } }), 2),
        (json!({ "dead_letters": { "events": 1 } }), 2),
        (json!({ "dead_letters": { "events": 2, "seconds": 60 } }), 2),
        (json!({ "history_seconds": 60, "dead_letters": { "events": 1 } }), 3),
    ] {
        let counted: Affected = served.put(path, body.clone()).await;
        assert_eq!(counted, Affected { affected, at_least: false, dry_run: true }, "{body}");
    }
    let topic: Topic = served.get("/v1/topics/mail").await;
    assert_eq!((topic.history_seconds, topic.dead_letter_events), (86_400, 0), "nothing was done");
}

#[tokio::test]
async fn a_schedule_gets_other_times_and_fires() {
    let served = Served::new().await;
    let nightly = Periodic::cron("nightly", "0 3 * * *").publishes(Publish::new("report", "system"));
    served.queue.put_schedule(nightly).await.unwrap();
    let _: Affected =
        served.put("/v1/schedules/nightly/override", json!({ "recurrence": { "every": { "seconds": 60 } } })).await;
    let listed: Page<Schedule> = served.get("/v1/schedules").await;
    assert_eq!(listed.items[0].recurrence, Recurrence::Every { seconds: 60 });
    assert!(
        matches!(listed.items[0].declared, Some(Recurrence::Cron { .. })) && listed.items[0].overridden_since.is_some()
    );
    let fired: Published = served.post("/v1/schedules/nightly/fire", json!({})).await;
    assert_eq!((fired.event_type.as_str(), pending(&served, "report").await.len()), ("report", 1));
    let _: Affected = served.delete("/v1/schedules/nightly/override").await;
    assert_eq!(served.get::<Page<Schedule>>("/v1/schedules").await.items[0].declared, None);
    let bad = json!({ "recurrence": { "cron": { "expression": "never", "time_zone": "UTC" } } });
    let (status, problem) = served.refused(Method::PUT, OPERATOR, "/v1/schedules/nightly/override", Some(&bad)).await;
    assert_eq!((status, problem.code), (400, Code::Invalid), "{}", problem.message);
}

#[tokio::test]
async fn a_worker_is_listed_and_told_to_leave() {
    let served = Served::new().await;
    served.queue.create_topic("mail", 1).await.unwrap();
    let builder = tito_worker::Worker::builder(served.queue.clone()).join("posts").member_name("first");
    let worker = builder.subscribe("mail", |_: TitoEvent| async { Ok::<_, String>(()) }).build();
    let running = tokio::spawn(async move { worker.run(std::future::pending()).await });
    let listed = loop {
        let listed: Page<Worker> = served.get("/v1/workers").await;
        if !listed.items.is_empty() {
            break listed;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((listed.items[0].name.as_deref(), listed.items[0].is_live), (Some("first"), true));
    let _: Affected = served.post(&format!("/v1/workers/{}/retire", listed.items[0].id), json!({})).await;
    assert!(running.await.unwrap().unwrap().retired);
    let path = "/v1/workers/00000000-0000-7000-8000-000000000000/retire";
    let (status, problem) = served.refused(Method::POST, OPERATOR, path, None).await;
    assert_eq!((status, problem.code), (404, Code::NotFound));
    let _: Page<Fleet> = served.get("/v1/fleets").await;
}

#[tokio::test]
async fn an_owner_is_found_and_erased() {
    let served = Served::new().await;
    served.publish(Publish::new("mail", "user:1").owner("ada/1")).await;
    served.publish(Publish::new("mail", "user:2").owner("bob")).await;
    let keys: Page<String> = served.get("/v1/owners/ada%2F1").await;
    assert_eq!(keys.items.len(), 1);
    let would: tito_console::api::OwnerCounts = served.post("/v1/owners/ada%2F1/erase?dry_run=true", json!({})).await;
    assert_eq!(would.due, 1);
    let erased: tito_console::api::OwnerCounts = served.post("/v1/owners/ada%2F1/erase", json!({})).await;
    assert_eq!(erased.due, 1);
    assert_eq!(pending(&served, "mail").await.len(), 1);
}
