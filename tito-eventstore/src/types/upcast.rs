//! Brings the data of old events to the version that the program knows.

use std::collections::{BTreeMap, HashMap};

use tito_core::{BoxError, panics};

use crate::data::{Codec, EventType};
use crate::error::EventStoreError;

/// Makes data of the next version.
pub(super) type Step = Box<dyn Fn(&[u8]) -> Result<Vec<u8>, BoxError> + Send + Sync>;

/// A step as it was given to the builder.
pub(super) struct Upcaster {
    pub(super) event_type: String,
    /// The version from which it leads to the next.
    pub(super) from: u32,
    /// Whether it is one from JSON to JSON.
    pub(super) json: bool,
    pub(super) step: Step,
}

/// Makes a step of a function from JSON to JSON.
pub(super) fn json_step(
    step: impl Fn(serde_json::Value) -> Result<serde_json::Value, BoxError> + Send + Sync + 'static,
) -> Step {
    Box::new(move |bytes| Ok(serde_json::to_vec(&step(serde_json::from_slice(bytes)?)?)?))
}

/// The steps of an event type, from its oldest known version to the present one.
pub(super) struct Chain {
    first: u32,
    steps: Vec<Step>,
}

impl Chain {
    /// Whether events of a version can be brought to the present one.
    pub(super) fn begins_before(&self, version: u32) -> bool {
        version >= self.first
    }

    /// Data of an old version as that of the present one.
    pub(super) fn run(&self, version: u32, bytes: &[u8]) -> Result<Vec<u8>, BoxError> {
        let mut bytes = bytes.to_vec();
        for (number, step) in self.steps.iter().enumerate().skip((version - self.first) as usize) {
            let from = self.first as usize + number;
            bytes = run(step, &bytes).map_err(|error| format!("upcasting from version {from}: {error}"))?;
        }
        Ok(bytes)
    }
}

/// A panic is a failure like others, so that it is known at which event.
fn run(step: &Step, bytes: &[u8]) -> Result<Vec<u8>, BoxError> {
    panics::caught(|| step(bytes)).unwrap_or_else(|text| Err(format!("the upcaster panicked: {text}").into()))
}

/// Puts the steps of each event type in order, and checks that they lead to its present version.
pub(super) fn chains(
    upcasters: Vec<Upcaster>,
    known: impl Fn(&str) -> Option<EventType>,
) -> Result<HashMap<&'static str, Chain>, EventStoreError> {
    let mut sorted: BTreeMap<&'static str, (EventType, BTreeMap<u32, Upcaster>)> = BTreeMap::new();
    for upcaster in upcasters {
        let Some(event_type) = known(&upcaster.event_type) else {
            return Err(EventStoreError::TypeNotRegistered { event_type: upcaster.event_type });
        };
        check(&upcaster, event_type).map_err(|reason| refused(event_type, reason))?;
        let (_, steps) = sorted.entry(event_type.name).or_insert_with(|| (event_type, BTreeMap::new()));
        let from = upcaster.from;
        if steps.insert(from, upcaster).is_some() {
            return Err(refused(event_type, format!("there are two upcasters from version {from}")));
        }
    }
    let mut chains = HashMap::new();
    for (name, (event_type, steps)) in sorted {
        let first = steps.keys().next().copied().unwrap_or(event_type.version);
        if let Some(hole) = (first..event_type.version).find(|version| !steps.contains_key(version)) {
            let version = event_type.version;
            let reason = format!("there are upcasters from version {first}, but none from {hole}; it is at {version}");
            return Err(refused(event_type, reason));
        }
        chains.insert(name, Chain { first, steps: steps.into_values().map(|upcaster| upcaster.step).collect() });
    }
    Ok(chains)
}

fn check(upcaster: &Upcaster, event_type: EventType) -> Result<(), String> {
    let Upcaster { from, json, .. } = *upcaster;
    let EventType { version, codec, .. } = event_type;
    if from == 0 {
        Err("there is an upcaster from version 0, but versions begin at 1".to_string())
    } else if from >= version {
        Err(format!("there is an upcaster from version {from}, but it is at version {version}"))
    } else if json && codec != Codec::Json && from + 1 == version {
        Err(format!("the upcaster from version {from} makes JSON, but it is written as {codec}"))
    } else {
        Ok(())
    }
}

fn refused(event_type: EventType, reason: String) -> EventStoreError {
    EventStoreError::TypeInvalid { event_type: event_type.name.to_string(), reason, source: None }
}
