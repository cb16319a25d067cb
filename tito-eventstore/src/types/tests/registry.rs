use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};
use tito_core::BoxError;

use super::{stored, whole};
use crate::error::EventStoreError;
use crate::event::{NewEvent, Unencoded};
use crate::types::{Binary, Codec, EventData, EventType, ForeignType, Json, Registry, Validator};

/// `deposited` as text, `closed` as no bytes.
#[derive(Clone, Debug, PartialEq)]
enum AccountEvent {
    Deposited(u64),
    Closed,
}

impl EventData for AccountEvent {
    const EVENT_TYPES: &'static [EventType] = &[
        EventType { name: "deposited", version: 2, codec: Codec::Json },
        EventType { name: "closed", version: 1, codec: Codec::Binary },
    ];

    fn event_type(&self) -> EventType {
        Self::EVENT_TYPES[usize::from(*self == Self::Closed)]
    }

    fn encode(&self) -> Result<Vec<u8>, BoxError> {
        Ok(match self {
            Self::Deposited(cents) => cents.to_string().into_bytes(),
            Self::Closed => Vec::new(),
        })
    }

    fn decode(event_type: &str, data: &[u8]) -> Result<Self, BoxError> {
        match (event_type, data) {
            ("deposited", data) => Ok(Self::Deposited(std::str::from_utf8(data)?.parse()?)),
            ("closed", []) => Ok(Self::Closed),
            _ => Err("not an event of an account".into()),
        }
    }

    fn samples() -> Vec<Self> {
        vec![Self::Deposited(5), Self::Closed]
    }

    fn validate(&self) -> Result<(), BoxError> {
        if *self == Self::Deposited(0) { Err("a deposit of nothing".into()) } else { Ok(()) }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Moved {
    place: String,
}

impl Moved {
    fn to(place: &str) -> Self {
        Self { place: place.to_string() }
    }
}

impl Validator for Moved {
    fn validate(&self) -> Result<(), BoxError> {
        if self.place.is_empty() { Err("moved to nowhere".into()) } else { Ok(()) }
    }
}

fn registry() -> Registry {
    let moved = ForeignType::<Json, Moved>::new("moved", Moved::to("here")).version(3).validate(Validator::validate);
    Registry::builder()
        .event::<AccountEvent>()
        .foreign(moved)
        .register::<Binary, String>("said", "hello".to_string())
        .build()
        .unwrap()
}

/// Why there is no registry.
fn refused(built: crate::Result<Registry>) -> String {
    let error = built.unwrap_err();
    assert!(matches!(error, EventStoreError::TypeInvalid { .. }), "{error:?}");
    whole(error)
}

fn unencoded(event: NewEvent) -> Unencoded {
    event.data.unwrap()
}

#[test]
fn a_registry_knows_all_types_that_were_registered() {
    let known: Vec<_> = registry().event_types().iter().map(|known| (known.name, known.version, known.codec)).collect();
    let expected = [
        ("closed", 1, Codec::Binary),
        ("deposited", 2, Codec::Json),
        ("moved", 3, Codec::Json),
        ("said", 1, Codec::Binary),
    ];
    assert_eq!(known, expected);
}

#[test]
fn values_of_registered_types_become_events_and_come_back() {
    let registry = registry();
    let event = registry.new_event("account.17", &Moved::to("there")).unwrap();
    assert_eq!((event.entity(), event.event_type()), ("account.17", "moved"));
    let data = unencoded(event);
    assert_eq!((data.version, data.codec), (3, Codec::Json));
    assert_eq!(registry.data::<Moved>(&stored("moved", 3, Codec::Json, &data.bytes)).unwrap(), Moved::to("there"));

    let closed = unencoded(registry.new_event("account.17", &AccountEvent::Closed).unwrap());
    let closed = stored("closed", closed.version, closed.codec, &closed.bytes);
    assert_eq!(registry.data::<AccountEvent>(&closed).unwrap(), AccountEvent::Closed);
}

#[test]
fn values_of_other_types_become_no_events() {
    let error = registry().new_event("account.17", &5_u8).unwrap_err();
    assert!(matches!(error, EventStoreError::TypeNotRegistered { ref event_type } if event_type == "u8"), "{error:?}");
    let error = registry().data::<u8>(&stored("moved", 3, Codec::Json, b"5")).unwrap_err();
    assert!(matches!(error, EventStoreError::TypeNotRegistered { .. }), "{error:?}");
}

#[test]
fn values_that_are_not_valid_become_no_events() {
    let error = registry().new_event("account.17", &Moved::to("")).unwrap_err();
    assert!(matches!(error, EventStoreError::DataInvalid { .. }), "{error:?}");
    assert!(whole(error).ends_with("moved to nowhere"));
}

#[test]
fn values_that_cannot_be_written_become_no_events() {
    let registry = Registry::builder().register::<Json, HashMap<(u8, u8), u8>>("odd", HashMap::new()).build().unwrap();
    let error = registry.new_event("account.17", &HashMap::from([((1_u8, 2_u8), 3_u8)])).unwrap_err();
    assert!(matches!(error, EventStoreError::Encode { codec: Codec::Json, .. }), "{error:?}");
}

#[test]
fn an_event_of_another_form_is_not_read() {
    let registry = registry();
    for (event, reason) in [
        (stored("said", 1, Codec::Binary, b"x"), "the type has no such event"),
        (stored("moved", 4, Codec::Json, b"{}"), "newer than 3"),
        (stored("moved", 2, Codec::Json, b"{}"), "there is no upcaster"),
        (stored("moved", 3, Codec::MessagePack, b"{}"), "it is written as MessagePack, expected JSON"),
        (stored("moved", 3, Codec::Json, b"{}"), "missing field `place`"),
    ] {
        let error = registry.data::<Moved>(&event).unwrap_err();
        assert!(matches!(error, EventStoreError::Decode { sequence: 9, .. }), "{error:?}");
        let text = whole(error);
        assert!(text.contains(reason), "{text}");
    }
}

#[test]
fn events_of_registered_types_may_be_appended() {
    let registry = registry();
    for event in [
        NewEvent::new("account.17", AccountEvent::Deposited(7)),
        registry.new_event("account.17", &Moved::to("there")).unwrap(),
        NewEvent::raw("account.17", "said", "bytes that are text"),
        NewEvent::raw("account.17", "closed", ""),
    ] {
        registry.check(&unencoded(event)).unwrap();
    }
}

#[test]
fn other_events_may_not_be_appended() {
    let registry = registry();
    let elsewhere = Registry::builder().register::<Json, u64>("moved", 5).register::<Json, u8>("new", 5).build();
    let elsewhere = elsewhere.unwrap();
    for (event, reason) in [
        (NewEvent::raw("account.17", "unknown", "x"), "event type \"unknown\" is not registered"),
        (elsewhere.new_event("account.17", &5_u8).unwrap(), "event type \"new\" is not registered"),
        (elsewhere.new_event("account.17", &5_u64).unwrap(), "it was made from u64, its event type is registered for"),
        (NewEvent::raw("account.17", "deposited", "5"), "it has version 1, expected 2"),
        (NewEvent::raw("account.17", "said", [0xff]), "invalid utf-8"),
        (NewEvent::raw("account.17", "closed", "x"), "not an event of an account"),
    ] {
        let text = whole(registry.check(&unencoded(event)).unwrap_err());
        assert!(text.contains(reason), "{text}");
    }
}

#[test]
fn bytes_of_the_applications_own_are_validated() {
    let sober = ForeignType::<Binary, String>::new("said", "hello".to_string())
        .validate(|said| if said.contains('!') { Err("too loud".into()) } else { Ok(()) });
    let registry = Registry::builder().foreign(sober).build().unwrap();
    registry.check(&unencoded(NewEvent::raw("account.17", "said", "quiet"))).unwrap();
    let error = registry.check(&unencoded(NewEvent::raw("account.17", "said", "loud!"))).unwrap_err();
    assert!(matches!(error, EventStoreError::DataInvalid { .. }), "{error:?}");
    assert!(whole(error).ends_with("too loud"));
}

#[test]
fn bytes_in_another_codec_are_refused() {
    let registry = Registry::builder().register::<Json, u64>("counted", 5).build().unwrap();
    let text = whole(registry.check(&unencoded(NewEvent::raw("shelf.1", "counted", "5"))).unwrap_err());
    assert!(text.ends_with("it is written as bytes, expected JSON"), "{text}");
}

#[test]
fn an_empty_registry_accepts_nothing() {
    let registry = Registry::default();
    let error = registry.check(&unencoded(NewEvent::raw("account.17", "said", "x"))).unwrap_err();
    assert!(matches!(error, EventStoreError::TypeNotRegistered { .. }), "{error:?}");
}

#[test]
fn a_type_that_does_not_round_trip_is_refused() {
    /// Written and never read.
    #[derive(Serialize, Deserialize)]
    struct OneWay {
        #[serde(skip_deserializing)]
        lost: u8,
    }
    let text = refused(Registry::builder().register::<Json, OneWay>("lost", OneWay { lost: 5 }).build());
    assert!(text.contains("\"lost\" can't be registered: its sample is written in other bytes"), "{text}");

    /// A number that is written as a text.
    #[derive(Deserialize)]
    struct Other {
        #[expect(dead_code, reason = "only reading matters")]
        number: u8,
    }
    impl Serialize for Other {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str("5")
        }
    }
    let text = refused(Registry::builder().register::<Json, Other>("other", Other { number: 5 }).build());
    assert!(text.contains("its sample can't be read back: invalid type: string"), "{text}");

    let odd = HashMap::from([((1, 2), 3)]);
    let text = refused(Registry::builder().register::<Json, HashMap<(u8, u8), u8>>("odd", odd).build());
    assert!(text.contains("its sample can't be written: the event's data can't be stored as JSON, at [1,2]"), "{text}");
    assert!(text.contains("key must be a string"), "{text}");
}

#[test]
fn a_sample_that_is_not_valid_is_refused() {
    let moved = ForeignType::<Json, Moved>::new("moved", Moved::to("")).validate(Validator::validate);
    let text = refused(Registry::builder().foreign(moved).build());
    assert!(text.ends_with("its validator refuses its sample: moved to nowhere"), "{text}");
}

#[test]
fn a_name_or_a_type_can_be_registered_once() {
    let text = refused(Registry::builder().event::<AccountEvent>().register::<Json, u8>("closed", 5).build());
    assert!(text.contains("\"closed\" can't be registered: the name is registered already"), "{text}");
    let text = refused(Registry::builder().register::<Json, u8>("one", 5).register::<Json, u8>("two", 5).build());
    assert!(text.contains("\"two\" can't be registered: the type u8 is registered already"), "{text}");
    refused(Registry::builder().event::<AccountEvent>().event::<AccountEvent>().build());
}

#[test]
fn the_first_mistake_is_told() {
    let built = Registry::builder()
        .register::<Json, u8>("a.b", 5)
        .register::<Json, u16>("", 5)
        .register::<Json, u32>("good", 5)
        .build();
    assert!(refused(built).contains("a.b"));
}

#[test]
fn names_that_are_no_tokens_and_version_0_are_refused() {
    for name in ["", "a.b", "*", "a>", "a b", "a\nb", Box::leak("a".repeat(256).into_boxed_str())] {
        refused(Registry::builder().register::<Json, u8>(name, 5).build());
    }
    let text = refused(Registry::builder().foreign(ForeignType::<Json, u8>::new("a", 5).version(0)).build());
    assert!(text.contains("versions begin at 1"), "{text}");
}

#[test]
fn every_event_type_needs_a_sample_and_the_other_way_round() {
    struct Sampled<const SAMPLE: usize>;

    const KNOWN: [EventType; 2] = [
        EventType { name: "known", version: 1, codec: Codec::Json },
        EventType { name: "unknown", version: 1, codec: Codec::Json },
    ];

    impl<const SAMPLE: usize> EventData for Sampled<SAMPLE> {
        const EVENT_TYPES: &'static [EventType] = &[KNOWN[0]];

        fn event_type(&self) -> EventType {
            KNOWN[SAMPLE]
        }

        fn encode(&self) -> Result<Vec<u8>, BoxError> {
            Ok(Vec::new())
        }

        fn decode(_: &str, _: &[u8]) -> Result<Self, BoxError> {
            Ok(Self)
        }

        fn samples() -> Vec<Self> {
            vec![Self]
        }
    }

    Registry::builder().event::<Sampled<0>>().build().unwrap();
    assert!(refused(Registry::builder().event::<Sampled<1>>().build()).contains("has no sample of it"));
}

#[test]
fn cloning_a_registry_copies_no_types() {
    static DROPPED: AtomicU32 = AtomicU32::new(0);

    /// Counts how often what the validator holds is dropped.
    struct Kept;

    impl Drop for Kept {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }

    let held = Kept;
    let foreign = ForeignType::<Json, u8>::new("counted", 5).validate(move |_| {
        let _ = &held;
        Ok(())
    });
    let registry = Registry::builder().foreign(foreign).build().unwrap();
    drop(registry.clone());
    assert_eq!(DROPPED.load(Ordering::Relaxed), 0);
    assert!(format!("{registry:?}").contains("counted"));
    drop(registry);
    assert_eq!(DROPPED.load(Ordering::Relaxed), 1);
}
