use proptest::prelude::*;
use serde_json::json;

use super::{stored, whole};
use crate::error::EventStoreError;
use crate::event::Event;
use crate::types::{Binary, Codec, ForeignType, Json, Registry, RegistryBuilder};

fn at(version: u32) -> RegistryBuilder {
    Registry::builder().foreign(ForeignType::<Json, serde_json::Value>::new("deposited", json!({})).version(version))
}

fn identity(bytes: &[u8]) -> Result<Vec<u8>, tito_core::BoxError> {
    Ok(bytes.to_vec())
}

fn upcast(registry: &Registry, event: Event) -> Result<Event, EventStoreError> {
    Ok(registry.upcast(&event)?.unwrap_or(event))
}

/// Version 3 has cents and a currency, 2 cents, 1 units.
fn deposits() -> Registry {
    at(3)
        // In any order.
        .upcast_json("deposited", 2, |mut value| {
            value["currency"] = "EUR".into();
            Ok(value)
        })
        .upcast_json("deposited", 1, |value| {
            let units = value["units"].as_u64().ok_or("no units")?;
            Ok(json!({ "cents": units * 100 }))
        })
        .register::<Binary, String>("said", "hello".to_string())
        .build()
        .unwrap()
}

#[test]
fn old_events_are_brought_to_the_present_version_step_by_step() {
    for (version, data) in [(1, r#"{"units":5}"#), (2, r#"{"cents":500}"#), (3, r#"{"cents":500,"currency":"EUR"}"#)] {
        let event = stored("deposited", version, Codec::Json, data.as_bytes());
        let upcast = upcast(&deposits(), event.clone()).unwrap();
        assert_eq!((upcast.version(), upcast.codec()), (3, Codec::Json));
        let value: serde_json::Value = deposits().data(&upcast).unwrap();
        assert_eq!(value, json!({ "cents": 500, "currency": "EUR" }), "from version {version}");
        // All else is as it was.
        assert_eq!((upcast.sequence(), upcast.id(), upcast.subject()), (event.sequence(), event.id(), event.subject()));
        assert_eq!((upcast.time(), upcast.recorded()), (event.time(), event.recorded()));
        assert_eq!(upcast.metadata(), event.metadata());
    }
}

#[test]
fn events_that_no_upcaster_is_for_are_as_they_were() {
    let events = [stored("said", 1, Codec::Binary, b"x"), stored("unknown", 7, Codec::Binary, b"x")];
    for event in events {
        assert_eq!(upcast(&deposits(), event.clone()).unwrap(), event);
    }
    // Older than the oldest upcaster: whoever reads the data is told.
    let registry = at(3).upcast("deposited", 2, identity).build().unwrap();
    let old = stored("deposited", 1, Codec::Json, b"{}");
    assert_eq!(upcast(&registry, old.clone()).unwrap(), old);
    let text = whole(registry.data::<serde_json::Value>(&old).unwrap_err());
    assert!(text.ends_with("it has version 1, expected 3, and there is no upcaster"), "{text}");
}

#[test]
fn without_upcasters_every_event_is_as_it_was() {
    let event = stored("deposited", 9, Codec::Protobuf, b"x");
    assert_eq!(upcast(&at(3).build().unwrap(), event.clone()).unwrap(), event);
    assert_eq!(upcast(&Registry::default(), event.clone()).unwrap(), event);
}

#[test]
fn an_event_newer_than_the_program_is_an_error() {
    let error = upcast(&deposits(), stored("deposited", 4, Codec::Json, b"{}")).unwrap_err();
    assert!(matches!(error, EventStoreError::Decode { sequence: 9, version: 4, .. }), "{error:?}");
    let text = whole(error);
    assert!(text.ends_with("can't be read as version 3: the event is newer than what this program knows"), "{text}");
}

#[test]
fn an_upcaster_that_fails_says_from_which_version() {
    for (data, reason) in [("{}", "upcasting from version 1: no units"), ("{", "upcasting from version 1: EOF")] {
        let error = upcast(&deposits(), stored("deposited", 1, Codec::Json, data.as_bytes())).unwrap_err();
        assert!(matches!(error, EventStoreError::Decode { sequence: 9, version: 1, .. }), "{error:?}");
        let text = whole(error);
        assert!(text.contains(reason), "{text}");
    }
}

#[test]
fn an_upcaster_that_panics_is_an_error_of_the_event() {
    let registry = at(2).upcast("deposited", 1, |_| panic!("out of order")).build().unwrap();
    let text = whole(upcast(&registry, stored("deposited", 1, Codec::Json, b"{}")).unwrap_err());
    assert!(text.ends_with("upcasting from version 1: the upcaster panicked: out of order"), "{text}");
}

#[test]
fn upcasting_can_change_the_codec() {
    let registry = Registry::builder()
        .foreign(ForeignType::<Binary, String>::new("said", "hello".to_string()).version(2))
        .upcast("said", 1, |bytes| Ok(serde_json::from_slice::<String>(bytes)?.into_bytes()))
        .build()
        .unwrap();
    let upcast = upcast(&registry, stored("said", 1, Codec::Json, br#""old""#)).unwrap();
    assert_eq!((upcast.codec(), upcast.bytes()), (Codec::Binary, &b"old"[..]));
    assert_eq!(registry.data::<String>(&upcast).unwrap(), "old");
}

#[test]
fn chains_that_do_not_lead_to_the_present_version_are_refused() {
    let step = |builder: RegistryBuilder, from| builder.upcast("deposited", from, identity);
    for (builder, reason) in [
        (step(at(4), 1), "upcasters from version 1, but none from 2; it is at 4"),
        (step(step(at(4), 1), 3), "but none from 2"),
        (step(step(at(4), 1), 2), "but none from 3"),
        (step(at(2), 2), "an upcaster from version 2, but it is at version 2"),
        (step(at(2), u32::MAX), "but it is at version 2"),
        (step(at(2), 0), "versions begin at 1"),
        (step(step(at(2), 1), 1), "there are two upcasters from version 1"),
    ] {
        let error = builder.build().unwrap_err();
        assert!(matches!(error, EventStoreError::TypeInvalid { .. }), "{error:?}");
        let text = whole(error);
        assert!(text.contains(reason), "{text}");
    }
    let error = at(2).upcast("depositted", 1, identity).build().unwrap_err();
    assert!(matches!(error, EventStoreError::TypeNotRegistered { .. }), "{error:?}");
}

#[test]
fn an_upcaster_to_json_of_a_type_that_is_not_json_is_refused() {
    let said = ForeignType::<Binary, String>::new("said", "hello".to_string()).version(3);
    let builder = Registry::builder().foreign(said).upcast_json("said", 2, Ok);
    let text = whole(builder.build().unwrap_err());
    assert!(text.contains("makes JSON, but it is written as bytes"), "{text}");
    // Between old versions it may well be JSON.
    let said = ForeignType::<Binary, String>::new("said", "hello".to_string()).version(3);
    Registry::builder().foreign(said).upcast_json("said", 1, Ok).upcast("said", 2, identity).build().unwrap();
}

proptest! {
    /// Step n appends n: the bytes tell which steps were taken, and in which order.
    #[test]
    fn exactly_the_steps_from_the_events_version_on_are_taken(present in 1..20_u32, oldest in 1..20_u32, version in 1..25_u32) {
        let said = ForeignType::<Binary, Vec<u8>>::new("said", vec![]).version(present);
        let mut builder = Registry::builder().foreign(said);
        for from in (oldest..present).rev() {
            builder = builder.upcast("said", from, move |bytes| Ok([bytes, &[from as u8]].concat()));
        }
        let event = stored("said", version, Codec::Binary, b"");
        let upcast = upcast(&builder.build().unwrap(), event);
        if oldest < present && version > present {
            prop_assert!(upcast.is_err());
        } else if version >= oldest && version < present {
            let expected: Vec<u8> = (version..present).map(|from| from as u8).collect();
            let upcast = upcast.unwrap();
            prop_assert_eq!((upcast.version(), upcast.bytes()), (present, &expected[..]));
        } else {
            let upcast = upcast.unwrap();
            prop_assert_eq!((upcast.version(), upcast.bytes()), (version, &b""[..]));
        }
    }

    #[test]
    fn upcasting_hostile_bytes_never_panics(data: Vec<u8>, version in 0..4_u32) {
        let _ = upcast(&deposits(), stored("deposited", version, Codec::Json, &data));
    }
}
