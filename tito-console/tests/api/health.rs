//! Live and ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use tito_console::api::Health;
use tito_testkit::{Call, EngineSettings, FaultEngine, TestClock, WithFaults};
use tito_worker::Publish;

use crate::support::Served;

/// The status and the checks that are not well. Nobody needs a token for it.
async fn ask(served: &Served, path: &str) -> (u16, Vec<String>) {
    let response = served.send(Request::builder().uri(path).body(Body::empty()).unwrap()).await;
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let health: Health = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(health.is_well, status == 200);
    (status, health.checks.into_iter().filter(|check| !check.is_well).map(|check| check.name).collect())
}

#[tokio::test]
async fn what_is_not_well_is_named() {
    let is_running = Arc::new(AtomicBool::new(true));
    let worker = is_running.clone();
    let served = Served::with(|console| {
        let is_well = move || worker.load(Ordering::Acquire).then_some(()).ok_or_else(|| "it has ended".to_string());
        console.ready("worker", is_well).ready_lag("mail", Duration::from_secs(60))
    })
    .await;
    served.publish(Publish::new("mail", "user:1")).await;
    assert_eq!(ask(&served, "/live").await, (200, vec![]));
    assert_eq!(ask(&served, "/ready").await, (200, vec![]));
    served.clock.advance(Duration::from_secs(62));
    is_running.store(false, Ordering::Release);
    assert_eq!(ask(&served, "/ready").await, (503, vec!["worker".to_string(), "lag of mail".to_string()]));
    assert_eq!(ask(&served, "/live").await, (200, vec![]));
    served.db.close().await;
    assert_eq!(ask(&served, "/live").await, (503, vec!["engine".to_string()]));
    let (status, unwell) = ask(&served, "/ready").await;
    assert_eq!((status, &unwell[..2]), (503, &["engine".to_string(), "timestamp".to_string()][..]));
}

#[tokio::test]
async fn a_closed_engine_is_unavailable() {
    let served = Served::new().await;
    served.db.close().await;
    let (status, problem) = served.refused(axum::http::Method::GET, crate::support::READER, "/v1/topics", None).await;
    assert_eq!((status, problem.code), (503, tito_console::api::Code::Unavailable));
}

#[tokio::test]
async fn many_who_ask_within_a_second_cost_one_walk() {
    let clock = TestClock::new();
    let db = tito_testkit::in_memory_with(EngineSettings::default().test_clock(&clock)).await.unwrap();
    let db = FaultEngine::new(db).database();
    let served = Served::of(db, clock, |console| console.ready_lag("mail", Duration::from_secs(60)));
    served.publish(Publish::new("mail", "user:1")).await;
    let scans = || served.db.faults().count(Call::Scan);
    assert_eq!(ask(&served, "/ready").await, (200, vec![]));
    let after_one = scans();
    let all = futures::future::join_all((0..50).map(|_| ask(&served, "/ready"))).await;
    assert!(all.iter().all(|answer| *answer == (200, vec![])), "{all:?}");
    assert_eq!(scans(), after_one, "what was found is told again");
    served.clock.advance(Duration::from_secs(2));
    let all = futures::future::join_all((0..50).map(|_| ask(&served, "/ready"))).await;
    assert!(all.iter().all(|answer| *answer == (200, vec![])), "{all:?}");
    assert!(scans() > after_one && scans() <= after_one * 2, "{after_one} and {}", scans());
    // What a second old answer says is not what is told of an engine that is closed since.
    served.db.close().await;
    assert_eq!(ask(&served, "/ready").await.1[..2], ["engine", "timestamp"]);
}
