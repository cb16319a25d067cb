//! Data that could be written and not read again is refused before it stands in the way of its entity.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tito_core::prelude::*;
use tito_eventstore::types::{Codec, Json, Registry};
use tito_eventstore::{EventStoreError, NewEvent, TitoEventType};
use tito_testkit::TestClock;

use crate::support::*;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Reading {
    value: f64,
    option: Option<f64>,
    any: Value,
    #[serde(flatten)]
    more: BTreeMap<String, u128>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TitoEventType)]
enum Measured {
    Inner(Reading),
    Object { value: f64, option: Option<f64>, any: Value },
}

impl Default for Measured {
    fn default() -> Self {
        Self::Inner(Reading::default())
    }
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, _| json!([inner]))
}

fn bad() -> Vec<(Reading, &'static str)> {
    let good = Reading::default;
    vec![
        (Reading { value: f64::NAN, ..good() }, "value"),
        (Reading { value: f64::NEG_INFINITY, ..good() }, "value"),
        (Reading { option: Some(f64::NAN), ..good() }, "option"),
        (Reading { any: nested(127), ..good() }, "any"),
        (Reading { more: BTreeMap::from([("x".to_string(), u128::MAX)]), ..good() }, ""),
    ]
}

#[track_caller]
fn assert_refused(error: &EventStoreError, path: &str) {
    assert!(matches!(error, EventStoreError::Encode { codec: Codec::Json, .. }), "{error:?}");
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    assert!(source.contains(path), "{source:?} does not name {path:?}");
}

#[fact]
pub async fn data_that_could_not_be_read_again_is_refused_with_the_field(db: Database, _: TestClock) {
    let store = store(&db).await;
    let registry = Registry::builder().register::<Json, Reading>("reading", Reading::default()).build().unwrap();
    let good = Measured::Inner(Reading { any: nested(126), ..Reading::default() });
    store.append(NewEvent::new("sensor.1", good.clone())).await.unwrap();
    for (reading, path) in bad() {
        let error = store.append(NewEvent::new("sensor.1", Measured::Inner(reading.clone()))).await.unwrap_err();
        assert_refused(&error, path);
        assert_refused(&registry.new_event("sensor.1", &reading).unwrap_err(), path);
        let Reading { value, option, any, more } = reading;
        if more.is_empty() {
            let object = Measured::Object { value, option, any };
            let error = store.append(NewEvent::new("sensor.1", object)).await.unwrap_err();
            assert_refused(&error, path);
        }
    }
    // The entity is none the worse for it.
    store.append(NewEvent::new("sensor.1", good.clone())).await.unwrap();
    let events = read(&store, "sensor.1").await;
    let read: Vec<_> = events.into_iter().map(|event| event.data::<Measured>().unwrap()).collect();
    assert_eq!(read, [good.clone(), good]);
}

/// MessagePack holds every float; how deep it can be read is bounded too.
#[cfg(feature = "messagepack")]
#[fact]
pub async fn data_in_messagepack_is_read_before_it_is_appended(db: Database, _: TestClock) {
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, TitoEventType)]
    #[tito(codec = "messagepack")]
    struct Deep {
        any: Value,
        value: f64,
    }
    let store = store(&db).await;
    store.append(NewEvent::new("sensor.1", Deep { any: nested(100), value: f64::INFINITY })).await.unwrap();
    let error = store.append(NewEvent::new("sensor.1", Deep { any: nested(1_000), value: 0.0 })).await.unwrap_err();
    assert!(matches!(error, EventStoreError::Encode { codec: Codec::MessagePack, .. }), "{error:?}");
}
