//! What a scrape shows, with the recorder that most applications would take. A process of its own, as there is one
//! recorder in each.
#![allow(clippy::panic, clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{EngineSettings, FaultEngine, TestClock, WithFaults};
use tito_worker::observe::metrics::{
    ALL, BACKLOG_EVENTS, HANDLED, HANDLER_SECONDS, IN_FLIGHT, LAG_SECONDS, OLDEST_DUE_SECONDS,
};
use tito_worker::prelude::*;
use tito_worker::{RetryPolicy, Subscription};

#[tokio::test]
async fn a_scrape_shows_every_metric_and_reads_no_event() {
    // The one line.
    let prometheus = PrometheusBuilder::new().install_recorder().unwrap();

    let clock = TestClock::new();
    let db = tito_testkit::in_memory_with(EngineSettings::default().test_clock(&clock)).await.unwrap();
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("mail", 1).await.unwrap();
    queue.create_topic("paused", 1).await.unwrap();
    queue.pause("paused").await.unwrap();
    let publisher = queue.clone();
    db.transaction(|tx| async move {
        for (topic, entity) in [("mail", "good"), ("mail", "bad"), ("paused", "a"), ("paused", "b")] {
            publisher.publish(Publish::new(topic, entity), &tx).await?;
        }
        Ok(())
    })
    .await
    .unwrap();
    clock.advance(Duration::from_secs(7));
    let once = Subscription::default().retry(RetryPolicy::default().attempts(1));
    let worker = Worker::builder(queue.clone())
        .schedules(false)
        .subscribe_with("mail", once, |event: TitoEvent| async move {
            if event.entity == "bad" { Err(TitoError::application("no")) } else { Ok(()) }
        })
        .subscribe("paused", |_: TitoEvent| async { Ok::<_, TitoError>(()) })
        .gauges(Duration::from_secs(15))
        .build();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(async move { worker.run(async { drop(stopped.await) }).await });
    let shows = |line: &str| prometheus.render().lines().any(|shown| shown == line);
    // One queue is looked at after the other.
    let awaited = [
        format!("{BACKLOG_EVENTS}{{topic=\"mail\"}} 0"),
        format!("{BACKLOG_EVENTS}{{topic=\"paused\"}} 2"),
        "tito_queue_paused{topic=\"paused\"} 1".to_string(),
        "tito_events_handled_total{topic=\"mail\",outcome=\"dead\"} 1".to_string(),
    ];
    while !awaited.iter().all(|line| shows(line)) {
        clock.advance(Duration::from_millis(500));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(stop);
    running.await.unwrap().unwrap();

    let before = db.faults().rows_read();
    let scraped = prometheus.render();
    assert_eq!(db.faults().rows_read(), before);
    for metric in ALL {
        assert!(scraped.contains(&format!("# TYPE {metric} ")), "{metric} is not in\n{scraped}");
        assert!(scraped.contains(&format!("# HELP {metric} ")), "{metric} says nothing of itself");
    }
    assert!(shows("tito_events_handled_total{topic=\"mail\",outcome=\"done\"} 1"), "{scraped}");
    assert!(shows(&format!("{BACKLOG_EVENTS}{{topic=\"paused\"}} 2")), "{scraped}");
    assert!(shows("tito_queue_paused{topic=\"paused\"} 1"), "{scraped}");
    // A queue in which nothing has happened has the outcomes that alerts are about, and nothing else of handlers.
    for outcome in ["dead", "malformed"] {
        assert!(shows(&format!("tito_events_handled_total{{topic=\"paused\",outcome=\"{outcome}\"}} 0")), "{outcome}");
    }
    let of_paused: Vec<_> = scraped.lines().filter(|line| line.contains("topic=\"paused\"")).collect();
    let is_silent = |name: &str| !of_paused.iter().any(|line| line.starts_with(name));
    assert!([HANDLER_SECONDS, LAG_SECONDS, IN_FLIGHT].into_iter().all(is_silent));
    assert_eq!(of_paused.iter().filter(|line| line.starts_with(HANDLED)).count(), 2, "{of_paused:#?}");
    let oldest = format!("{OLDEST_DUE_SECONDS}{{topic=\"paused\"}} ");
    let oldest = scraped.lines().find_map(|line| line.strip_prefix(&oldest)).unwrap();
    assert!(oldest.parse::<f64>().unwrap() >= 7.0, "{oldest}");
}
