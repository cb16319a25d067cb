//! What workers do, as it happens.

use axum::body::Body;
use axum::http::{Method, Request};
use tito_console::Watch;
use tito_console::api::{Code, Dropped, Happened, Watched};
use tito_core::event::TitoEvent;
use tito_testkit::Harness;
use tito_worker::{Publish, Worker};

use crate::support::{READER, Served};

fn harness(served: &Served, watch: &Watch) -> Harness {
    Harness::of(Worker::builder(served.queue.clone()).observe(watch.clone()), &served.clock)
        .subscribe("mail", |_: TitoEvent| async { Ok::<_, String>(()) })
}

async fn lines(body: Body) -> Vec<String> {
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap().lines().map(str::to_string).collect()
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
    let body = watching(&served, "?limit=2&queue=mail").await;
    let event = served.publish(Publish::new("mail", "user:1")).await;
    harness.drain().await.unwrap();
    let seen: Vec<Watched> = lines(body).await.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((seen[0].what, seen[0].id, seen[0].queue.as_str()), (Happened::HandedOut, event.id, "mail"));
    assert_eq!((seen[1].what, seen[1].fate.as_deref(), seen[1].attempt), (Happened::Handled, Some("done"), 1));
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
