//! The spans of handlers. A process of its own: `tracing` remembers for the whole process whether anybody is interested
//! in a span, and what other tests do in other threads would have a say in that.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_core::trace::TraceContext;
use tito_testkit::conformance::{self, Opener};
use tito_testkit::each_engine;
use tito_testkit::{EngineSettings, TestClock};
use tito_worker::prelude::*;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

#[test]
fn each_run_of_a_handler_has_a_span_with_its_event_and_trace() {
    on(each_engine::IN_MEMORY);
    on(each_engine::ON_DISK);
    #[cfg(feature = "tikv")]
    on(each_engine::ON_TIKV);
}

fn on(engine: Opener) {
    conformance::run_on_one_thread(async {
        let database = engine.open(EngineSettings::default().test_clock(&TestClock::new())).await.unwrap();
        runs_have_spans(database.database()).await;
    });
}

async fn runs_have_spans(db: Database) {
    let spans = Spans::default();
    let _guard = tracing::subscriber::set_default(spans.clone());
    let request = TraceContext::new_root();
    let (queue, event) = (TitoQueue::new(db.clone()), Publish::new("job", "retried"));
    request.clone().scope(db.transaction(|tx| async move { queue.publish(event, &tx).await })).await.unwrap();
    let two_attempts = RetryPolicy::default().attempts(2).first_delay(Duration::ZERO);
    let worker = Worker::builder(TitoQueue::new(db))
        .subscribe_with("job", Subscription::default().retry(two_attempts), |event: TitoEvent| async move {
            if event.attempt == 0 { Err(TitoError::application("not yet")) } else { Ok(()) }
        })
        .build();
    worker.drain().await.unwrap();
    let spans = spans.of("tito.handle");
    assert_eq!(spans.len(), 2);
    for (span, (attempt, outcome)) in spans.iter().zip([("1", "retried"), ("2", "done")]) {
        assert_eq!(span["topic"], "job");
        assert_eq!(span["entity"], "retried");
        assert_eq!(span["attempt"], attempt);
        assert_eq!(span["outcome"], outcome);
        assert_eq!(span["trace_id"], request.trace_id_text());
        assert!(span.contains_key("partition") && span.contains_key("event"));
    }
}

#[test]
fn a_worker_says_that_its_group_is_not_there() {
    conformance::run_on_one_thread(async {
        let db = tito_testkit::in_memory().await.unwrap();
        let spans = Spans::default();
        let _guard = tracing::subscriber::set_default(spans.clone());
        let queue = TitoQueue::new(db);
        queue.add_group("job", "audit", GroupStart::Now).await.unwrap();
        let worker = Worker::builder(queue)
            .subscribe("job", |_: TitoEvent| async { Ok::<_, TitoError>(()) })
            .subscribe("job@audit", |_: TitoEvent| async { Ok::<_, TitoError>(()) })
            .subscribe("job@adit", |_: TitoEvent| async { Ok::<_, TitoError>(()) })
            .build();
        worker.drain().await.unwrap();
        let all_have_started = async {
            while spans.warnings.lock().unwrap().len() < 2 {
                tokio::task::yield_now().await;
            }
        };
        worker.run(all_have_started).await;
        for warning in spans.warnings.lock().unwrap().iter() {
            assert_eq!(warning["queue"], "job@adit");
            assert!(warning["message"].contains("no such group"), "{warning:?}");
        }
    });
}

/// The fields of a span, as text.
type Fields = BTreeMap<String, String>;

/// A subscriber that remembers the spans in the order in which they were made; the id of a span is its place, from 1.
#[derive(Clone, Default)]
struct Spans {
    spans: Arc<Mutex<Vec<(&'static str, Fields)>>>,
    warnings: Arc<Mutex<Vec<Fields>>>,
}

impl Spans {
    /// The fields of the spans with a name.
    fn of(&self, name: &str) -> Vec<Fields> {
        let spans = self.spans.lock().unwrap();
        spans.iter().filter(|(of, _)| *of == name).map(|(_, fields)| fields.clone()).collect()
    }
}

struct Reader<'a>(&'a mut Fields);

impl Visit for Reader<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_string(), value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_string(), format!("{value:?}"));
    }
}

impl Subscriber for Spans {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::new();
        span.record(&mut Reader(&mut fields));
        let mut spans = self.spans.lock().unwrap();
        spans.push((span.metadata().name(), fields));
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut spans = self.spans.lock().unwrap();
        values.record(&mut Reader(&mut spans[span.into_u64() as usize - 1].1));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        if *event.metadata().level() == Level::WARN {
            let mut fields = Fields::new();
            event.record(&mut Reader(&mut fields));
            self.warnings.lock().unwrap().push(fields);
        }
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
