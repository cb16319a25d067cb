//! Where event stores log to. A process of its own: `tracing` remembers for the whole process whether anybody is
//! interested in what is logged, and what other tests do in other threads would have a say in that.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::{Arc, Mutex};

use tito_core::BoxError;
use tito_core::prelude::*;
use tito_eventstore::{Event, EventStoreConfig, Evolver, Manager, NewEvent, Watch};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Metadata, Subscriber};

/// What was logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn has(&self, line: &str) -> bool {
        self.0.lock().unwrap().iter().any(|logged| logged.contains(line))
    }
}

impl Visit for Lines {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.lock().unwrap().push(format!("{field}: {value:?}"));
    }
}

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.0.lock().unwrap().push(format!("span {}", span.metadata().name()));
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Fails at everything.
struct Broken;

impl Evolver for Broken {
    fn evolve(&mut self, _: &Event) -> Result<(), BoxError> {
        Err("it is broken".into())
    }
}

struct Open;

impl tito_eventstore::Command for Open {}

impl tito_eventstore::Decider<Open> for Broken {
    fn decide(&self, _: &Open) -> Result<Vec<NewEvent>, BoxError> {
        Ok(vec![NewEvent::raw("a.1", "opened", "ada")])
    }
}

#[tokio::test]
async fn a_manager_logs_where_it_is_told_to() {
    let (everybody, own) = (Lines::default(), Lines::default());
    let _guard = tracing::subscriber::set_default(everybody.clone());
    let db = EmbeddedBackend::in_memory().await.unwrap();
    let manager = Manager::builder(db.clone()).logger(Dispatch::new(own.clone())).build();
    let store = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    let command = tito_eventstore::Envelope::new(Open).id("request-1").command_type("open");
    store.decide(&Broken, &command).await.unwrap();
    let watcher = store.watch(Broken, Watch::filter("a").no_wait()).await.unwrap();
    watcher.stop().await.map(|_| ()).unwrap_err();
    let lines = [
        "a watcher met an error",
        "store: \"bank\"",
        "span tito.decide",
        "command.id: \"request-1\"",
        "command.type: \"open\"",
    ];
    for line in lines {
        assert!(own.has(line) && !everybody.has(line), "{line}: {:?}", own.0.lock().unwrap());
    }

    let store = Manager::new(db).get_event_store("bank").await.unwrap();
    store.watch(Broken, Watch::filter("a").no_wait()).await.unwrap().stop().await.map(|_| ()).unwrap_err();
    assert!(everybody.has("a watcher met an error"), "without a logger of its own");
}
