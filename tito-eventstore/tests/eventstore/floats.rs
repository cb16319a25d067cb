//! Floats in the data of events and in snapshots are read back as they were written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tito_core::BoxError;
use tito_core::prelude::*;
use tito_eventstore::{Event, EventStoreConfig, Evolver, Manager, NewEvent, Select, Snapshot, TitoEventType};
use tito_testkit::{TestClock, seed};

use crate::support::*;

#[derive(Clone, Debug, PartialEq, TitoEventType)]
enum Measured {
    Json(Floats),
    #[tito(codec = "messagepack")]
    Packed(Floats),
    Named {
        value: f64,
        single: f32,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Floats {
    values: Vec<f64>,
    single: f32,
    by_name: BTreeMap<String, Value>,
    #[serde(flatten)]
    last: Last,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Last {
    last: f64,
}

fn finite(random: &mut fastrand::Rng) -> f64 {
    std::iter::repeat_with(|| f64::from_bits(random.u64(..))).find(|value| value.is_finite()).unwrap_or_default()
}

fn single(random: &mut fastrand::Rng) -> f32 {
    std::iter::repeat_with(|| f32::from_bits(random.u32(..))).find(|value| value.is_finite()).unwrap_or_default()
}

fn floats(random: &mut fastrand::Rng) -> Floats {
    let mut values: Vec<f64> = (0..20).map(|_| finite(random)).collect();
    values.extend([117.63331139400017, -0.0, 5e-324, f64::MAX]);
    let by_name = BTreeMap::from([("any".to_string(), Value::from(values.clone()))]);
    Floats { values, single: single(random), by_name, last: Last { last: finite(random) } }
}

/// All that was measured, which is kept as JSON between two programs.
#[derive(Clone, Debug, Default)]
struct All {
    values: Vec<f64>,
    folded: usize,
}

impl Evolver for All {
    fn evolve(&mut self, event: &Event) -> Result<(), BoxError> {
        self.folded += 1;
        match event.data::<Measured>()? {
            Measured::Json(floats) | Measured::Packed(floats) => self.values.extend(floats.values),
            Measured::Named { value, .. } => self.values.push(value),
        }
        Ok(())
    }

    fn as_snapshot(&mut self) -> Option<&mut dyn Snapshot> {
        Some(self)
    }
}

impl Snapshot for All {
    fn name(&self) -> String {
        "all".to_string()
    }

    fn version(&self) -> u32 {
        1
    }

    fn every(&self) -> u64 {
        10
    }

    fn save(&self) -> Result<Vec<u8>, BoxError> {
        Ok(serde_json::to_vec(&self.values)?)
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), BoxError> {
        self.values = serde_json::from_slice(state)?;
        Ok(())
    }
}

#[fact]
pub async fn floats_of_events_and_snapshots_are_read_back_as_they_were_written(db: Database, _: TestClock) {
    let mut random = fastrand::Rng::with_seed(seed());
    let config = EventStoreConfig::new("bank").republish("bank-events");
    let store = Manager::new(db.clone()).create_event_store(config).await.unwrap();
    let mut sent = Vec::new();
    for _ in 0..20 {
        sent.push(Measured::Json(floats(&mut random)));
        sent.push(Measured::Packed(floats(&mut random)));
        sent.push(Measured::Named { value: finite(&mut random), single: single(&mut random) });
    }
    let events: Vec<_> = sent.iter().map(|sent| NewEvent::new("meter.1", sent.clone())).collect();
    store.append(events).await.unwrap();
    let read = read(&store, Select::all()).await;
    assert_eq!(read.len(), sent.len());
    for (event, sent) in read.iter().zip(&sent) {
        // As text, which tells -0.0 from 0.0.
        assert_eq!(format!("{:?}", event.data::<Measured>().unwrap()), format!("{sent:?}"));
    }

    let (mut first, mut second) = (All::default(), All::default());
    store.evolve(&mut first, Select::all()).await.unwrap();
    store.evolve(&mut second, Select::all()).await.unwrap();
    assert_eq!((first.folded, second.folded), (sent.len(), 0), "the second goes on from the first one's snapshot");
    let bits = |model: &All| model.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&second), bits(&first));
}
