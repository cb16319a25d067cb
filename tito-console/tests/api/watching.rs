//! What workers do, as it happens.

use axum::body::Body;
use axum::http::{Method, Request};
use futures::StreamExt;
use tito_console::Watch;
use tito_console::api::{Code, Dropped, Happened, NotShown, Watched};
use tito_core::event::TitoEvent;
use tito_testkit::{EngineSettings, FaultEngine, Harness, TestClock};
use tito_worker::{Publish, Worker};

use crate::support::{READER, Served};

fn harness(served: &Served, watch: &Watch) -> Harness {
    Harness::of(Worker::builder(served.queue.clone()).observe(watch.clone()), &served.clock)
        .subscribe("mail", |_: TitoEvent| async { Ok::<_, String>(()) })
}

async fn lines(body: Body) -> Vec<String> {
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    // An empty one says that there is nothing to say.
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    text.lines().filter(|line| !line.is_empty()).map(str::to_string).collect()
}

async fn watching(served: &Served, query: &str) -> Body {
    let request = Request::get(format!("/v1/watch{query}")).header("authorization", format!("Bearer {READER}"));
    served.send(request.body(Body::empty()).unwrap()).await.into_body()
}

#[tokio::test]
async fn what_is_handed_out_and_what_becomes_of_it_is_shown() {
    let watch = Watch::new();
    let served = Served::with(|console| console.watch(&watch)).await;
    let mut harness = harness(&served, &watch);
    served.publish(Publish::new("mail", "before")).await;
    harness.drain().await.unwrap();
    let body = watching(&served, "?limit=3&queue=mail").await;
    served.publish(Publish::new("audit", "user:1")).await;
    let event = served.publish(Publish::new("mail", "user:1")).await;
    harness.drain().await.unwrap();
    let seen: Vec<Watched> = lines(body).await.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((seen[0].what, seen[0].id, seen[0].entity.as_str()), (Happened::Published, event.id, "user:1"));
    assert_eq!((seen[0].due, seen[0].queue.as_str()), (Some(event.timestamp), "mail"));
    assert_eq!((seen[1].what, seen[1].id, seen[1].queue.as_str()), (Happened::HandedOut, event.id, "mail"));
    assert_eq!((seen[2].what, seen[2].fate.as_deref(), seen[2].attempt), (Happened::Handled, Some("done"), 1));
}

#[tokio::test]
async fn whoever_is_too_slow_is_told_how_much_was_dropped() {
    let watch = Watch::new();
    let served = Served::with(|console| console.watch(&watch)).await;
    let mut harness = harness(&served, &watch);
    let body = watching(&served, "?limit=1").await;
    // On one thread nobody reads before this is done with.
    let event = TitoEvent::decode(
        b"",
        br#"{"id":"00000000-0000-7000-8000-000000000000","type":"mail","entity":"a","action":"b","timestamp":0}"#,
    );
    let event = event.unwrap();
    for _ in 0..1_500 {
        tito_worker::observe::Observer::handed_out(&watch, &event);
    }
    let lines = lines(body).await;
    let dropped: Dropped = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(dropped.dropped, 1_500 - 1_024);
    harness.drain().await.unwrap();
}

#[tokio::test]
async fn a_server_without_a_worker_says_that_it_can_not() {
    let served = Served::new().await;
    let (status, problem) = served.refused(Method::GET, READER, "/v1/watch", None).await;
    assert_eq!((status, problem.code), (501, Code::Unsupported));
}

#[tokio::test]
async fn what_is_published_is_shown_once_it_is_committed_and_for_each_queue() {
    let watch = Watch::new();
    let served = Served::with(|console| console.watch(&watch)).await;
    served.queue.create_topic("mail", 1).await.unwrap();
    served.queue.add_group("mail", "billing", tito_worker::GroupStart::Now).await.unwrap();
    let body = watching(&served, "?limit=3").await;
    let queue = &served.queue;
    let broken_off = served.db.transaction(|tx| async move {
        queue.publish(Publish::new("mail", "user:gone"), &tx).await?;
        Err::<(), _>(tito_core::TitoError::application("no"))
    });
    broken_off.await.unwrap_err();
    let event = served.publish(Publish::new("mail", "user:1")).await;
    served.publish(Publish::new("audit", "user:2")).await;
    let seen: Vec<Watched> = lines(body).await.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown: Vec<_> = seen.iter().map(|watched| (watched.queue.as_str(), watched.entity.as_str())).collect();
    assert_eq!(shown, [("mail@billing", "user:1"), ("mail", "user:1"), ("audit", "user:2")]);
    assert!(seen[..2].iter().all(|watched| (watched.what, watched.id) == (Happened::Published, event.id)));
}

#[tokio::test]
async fn what_was_published_and_dropped_is_counted() {
    let watch = Watch::new();
    let served = Served::with(|console| console.watch(&watch)).await;
    served.queue.create_topic("mail", 1).await.unwrap();
    let mut body = watching(&served, "").await.into_data_stream();
    let queue = &served.queue;
    // Of one commit, of which nobody reads a line before it is told.
    let publish = |tx: tito_core::Transaction| async move {
        for number in 0..1_500 {
            queue.publish(Publish::new("mail", format!("user:{number}")), &tx).await?;
        }
        Ok(())
    };
    served.db.transaction(publish).await.unwrap();
    let (mut shown, mut dropped) = (0, 0);
    while shown + dropped < 1_500 {
        let line = body.next().await.unwrap().unwrap();
        match serde_json::from_slice::<Dropped>(&line) {
            Ok(line) => dropped += line.dropped,
            Err(_) => shown += u64::from(serde_json::from_slice::<Watched>(&line).is_ok()),
        }
    }
    assert!(shown + dropped == 1_500 && dropped >= 400, "{shown} were shown, {dropped} dropped");
}

#[tokio::test]
async fn where_others_publish_too_it_is_said_that_this_is_not_shown() {
    let watch = Watch::new();
    let clock = TestClock::new();
    let db = tito_testkit::in_memory_with(EngineSettings::default().test_clock(&clock)).await.unwrap();
    let db = FaultEngine::new(db).with_foreign_writers().database();
    let served = Served::of(db, clock, |console| console.watch(&watch));
    let mut harness = harness(&served, &watch);
    let body = watching(&served, "?limit=2").await;
    served.publish(Publish::new("mail", "user:1")).await;
    harness.drain().await.unwrap();
    let lines = lines(body).await;
    let not_shown: NotShown = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(not_shown.not_shown, [Happened::Published]);
    let what = |line: &str| serde_json::from_str::<Watched>(line).unwrap().what;
    assert_eq!((what(&lines[1]), what(&lines[2])), (Happened::HandedOut, Happened::Handled));
}
