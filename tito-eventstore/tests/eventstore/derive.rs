//! What `#[derive(TitoEventType)]` writes does what its documentation says.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use tito_core::BoxError;
use tito_eventstore::types::{BinaryData, Codec, EventData, EventType, Registry, Validator};
use tito_eventstore::{EventStoreError, NewEvent, TitoEventType};

/// A message of prost.
#[derive(Clone, PartialEq, prost::Message)]
struct Transfer {
    #[prost(uint64, tag = "1")]
    cents: u64,
    #[prost(string, tag = "2")]
    to: String,
}

/// What makes bytes of itself.
#[derive(Clone, Debug, PartialEq)]
struct Seal([u8; 2]);

impl BinaryData for Seal {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, BoxError> {
        Ok(Self(bytes.try_into()?))
    }
}

// No serde for the enum itself.
#[derive(Clone, Debug, PartialEq, TitoEventType)]
enum AccountEvent {
    Opened {
        owner: String,
        #[serde(rename = "max", default, skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
        notes: BTreeMap<String, Vec<u8>>,
    },
    #[tito(name = "money-deposited", version = 2)]
    Deposited(u64),
    #[tito(codec = "messagepack")]
    OwnerChanged {
        from: String,
        to: String,
    },
    #[tito(codec = "protobuf")]
    Transferred(Transfer),
    #[tito(codec = "binary")]
    Sealed(#[tito(sample = Seal([1, 2]))] Seal),
    #[tito(codec = "binary", version = 7)]
    Unsealed,
    HTTPNoticeSent,
}

fn events() -> impl Strategy<Value = AccountEvent> {
    let opened = (any::<String>(), any::<Option<u64>>(), any::<BTreeMap<String, Vec<u8>>>())
        .prop_map(|(owner, limit, notes)| AccountEvent::Opened { owner, limit, notes });
    prop_oneof![
        opened,
        any::<u64>().prop_map(AccountEvent::Deposited),
        any::<(String, String)>().prop_map(|(from, to)| AccountEvent::OwnerChanged { from, to }),
        any::<(u64, String)>().prop_map(|(cents, to)| AccountEvent::Transferred(Transfer { cents, to })),
        any::<[u8; 2]>().prop_map(|bytes| AccountEvent::Sealed(Seal(bytes))),
        Just(AccountEvent::Unsealed),
        Just(AccountEvent::HTTPNoticeSent),
    ]
}

proptest! {
    #[test]
    fn every_value_comes_back_by_the_name_of_its_event_type(event in events()) {
        let read = AccountEvent::decode(event.event_type().name, &event.encode().unwrap()).unwrap();
        prop_assert_eq!(read, event);
    }

    #[test]
    fn hostile_bytes_never_panic(event in events(), cut: usize, flip: u8, noise: Vec<u8>) {
        let mut bytes = event.encode().unwrap();
        bytes.truncate(cut % (bytes.len() + 1));
        if let Some(last) = bytes.last_mut() {
            *last ^= flip;
        }
        for known in AccountEvent::EVENT_TYPES {
            let _ = AccountEvent::decode(known.name, &bytes);
            let _ = AccountEvent::decode(known.name, &noise);
        }
    }
}

#[test]
fn each_variant_is_an_event_type() {
    let known = |name, version, codec| EventType { name, version, codec };
    let expected = [
        known("opened", 1, Codec::Json),
        known("money-deposited", 2, Codec::Json),
        known("owner-changed", 1, Codec::MessagePack),
        known("transferred", 1, Codec::Protobuf),
        known("sealed", 1, Codec::Binary),
        known("unsealed", 7, Codec::Binary),
        known("http-notice-sent", 1, Codec::Json),
    ];
    assert_eq!(AccountEvent::EVENT_TYPES, expected);
    let of_samples: Vec<_> = AccountEvent::samples().iter().map(AccountEvent::event_type).collect();
    assert_eq!(of_samples, expected);
}

#[test]
fn the_data_of_a_variant_is_its_fields_or_its_one_value_or_nothing() {
    let opened = AccountEvent::Opened { owner: "Ada".to_string(), limit: Some(5), notes: BTreeMap::new() };
    assert_eq!(opened.encode().unwrap(), br#"{"owner":"Ada","max":5,"notes":{}}"#);
    let unlimited = AccountEvent::Opened { owner: "Ada".to_string(), limit: None, notes: BTreeMap::new() };
    assert_eq!(unlimited.encode().unwrap(), br#"{"owner":"Ada","notes":{}}"#);
    assert_eq!(AccountEvent::Deposited(5).encode().unwrap(), b"5");
    assert_eq!(AccountEvent::Sealed(Seal([3, 4])).encode().unwrap(), [3, 4]);
    assert_eq!(AccountEvent::Unsealed.encode().unwrap(), b"");
    assert_eq!(AccountEvent::HTTPNoticeSent.encode().unwrap(), b"{}");
    let changed = AccountEvent::OwnerChanged { from: "a".to_string(), to: "b".to_string() };
    let as_map: BTreeMap<String, String> = rmp_serde::from_slice(&changed.encode().unwrap()).unwrap();
    assert_eq!(as_map, BTreeMap::from([("from", "a"), ("to", "b")].map(|(name, text)| (name.into(), text.into()))));
    let transfer = Transfer { cents: 5, to: "bob".to_string() };
    assert_eq!(AccountEvent::Transferred(transfer.clone()).encode().unwrap(), prost::Message::encode_to_vec(&transfer));
}

#[test]
fn fields_that_were_added_or_removed_do_not_keep_old_events_from_being_read() {
    let old = br#"{"owner":"Ada","notes":{},"branch":"London"}"#;
    let expected = AccountEvent::Opened { owner: "Ada".to_string(), limit: None, notes: BTreeMap::new() };
    assert_eq!(AccountEvent::decode("opened", old).unwrap(), expected);
    // The event had a field once.
    assert_eq!(AccountEvent::decode("http-notice-sent", br#"{"code":5}"#).unwrap(), AccountEvent::HTTPNoticeSent);
}

#[test]
fn what_cannot_be_read_is_an_error_that_says_why() {
    for (name, data, reason) in [
        ("opened", &br#"{"owner":5,"notes":{}}"#[..], "invalid type: integer `5`, expected a string"),
        ("opened", b"{}", "missing field `owner`"),
        ("opened", b"5", "expected the fields of an event \"opened\""),
        ("money-deposited", b"\"text\"", "invalid type"),
        ("owner-changed", b"", "marker"),
        ("transferred", b"\xff", "failed to decode Protobuf"),
        ("sealed", b"123", "could not convert slice"),
        ("unsealed", b"1", "expected no bytes"),
        ("http-notice-sent", b"5", "expected an object without fields"),
        ("deposited", b"5", "the type has no event \"deposited\""),
        ("Opened", b"5", "the type has no event \"Opened\""),
    ] {
        let error = AccountEvent::decode(name, data).unwrap_err().to_string();
        assert!(error.contains(reason), "{name}: {error}");
    }
}

#[test]
fn derived_types_can_be_registered_and_upcast() {
    let registry = Registry::builder()
        .event::<AccountEvent>()
        .upcast_json("money-deposited", 1, |units| Ok((units.as_u64().ok_or("no number")? * 100).into()))
        .build()
        .unwrap();
    assert_eq!(registry.event_types().len(), AccountEvent::EVENT_TYPES.len());
    assert_eq!(registry.new_event("account.17", &AccountEvent::Unsealed).unwrap().event_type(), "unsealed");
}

#[test]
fn the_codec_of_the_type_is_that_of_its_variants_unless_they_say_otherwise() {
    #[derive(TitoEventType)]
    #[tito(codec = "messagepack")]
    enum Mixed {
        Named {
            value: u8,
        },
        Newtype(u8),
        #[tito(codec = "json")]
        Plain(u8),
        Unit,
    }
    let codecs: Vec<_> = Mixed::EVENT_TYPES.iter().map(|known| known.codec).collect();
    assert_eq!(codecs, [Codec::MessagePack, Codec::MessagePack, Codec::Json, Codec::MessagePack]);
    assert_eq!(Mixed::Named { value: 5 }.encode().unwrap(), b"\x81\xa5value\x05");
    assert_eq!(Mixed::Newtype(5).encode().unwrap(), [5]);
    assert_eq!(Mixed::Plain(5).encode().unwrap(), b"5");
    assert_eq!(Mixed::Unit.encode().unwrap(), [0x80]);
    Registry::builder().event::<Mixed>().build().unwrap();
}

#[test]
fn structs_are_one_event_type_each() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, TitoEventType)]
    #[serde(rename_all = "camelCase")]
    #[tito(version = 3)]
    struct OrderPlaced {
        order_number: u64,
        #[tito(sample = "Ada".to_string())]
        customer: String,
    }

    #[derive(Debug, PartialEq, TitoEventType)]
    #[tito(name = "paid", codec = "protobuf")]
    struct Payment(Transfer);

    #[derive(Debug, PartialEq, TitoEventType)]
    struct Cancelled;

    #[derive(Clone, PartialEq, prost::Message, TitoEventType)]
    #[tito(codec = "protobuf")]
    struct Shipped {
        #[prost(uint64, tag = "1")]
        parcel: u64,
    }

    let placed = OrderPlaced { order_number: 5, customer: "Bob".to_string() };
    assert_eq!(placed.event_type(), EventType { name: "order-placed", version: 3, codec: Codec::Json });
    assert_eq!(placed.encode().unwrap(), br#"{"orderNumber":5,"customer":"Bob"}"#);
    assert_eq!(OrderPlaced::decode("order-placed", &placed.encode().unwrap()).unwrap(), placed);
    assert!(OrderPlaced::decode("paid", &placed.encode().unwrap()).is_err());
    assert_eq!(OrderPlaced::samples(), [OrderPlaced { order_number: 0, customer: "Ada".to_string() }]);

    assert_eq!(Payment::EVENT_TYPES, [EventType { name: "paid", version: 1, codec: Codec::Protobuf }]);
    let payment = Payment(Transfer { cents: 5, to: "bob".to_string() });
    assert_eq!(Payment::decode("paid", &payment.encode().unwrap()).unwrap(), payment);
    assert_eq!(Cancelled.encode().unwrap(), b"{}");
    assert_eq!(Cancelled::decode("cancelled", b"{}").unwrap(), Cancelled);
    assert_eq!(EventData::encode(&Shipped { parcel: 5 }).unwrap(), [8, 5]);
    assert_eq!(<Shipped as EventData>::decode("shipped", &[8, 5]).unwrap().parcel, 5);

    Registry::builder()
        .event::<OrderPlaced>()
        .event::<Payment>()
        .event::<Cancelled>()
        .event::<Shipped>()
        .build()
        .unwrap();
}

#[test]
fn serde_attributes_of_fields_see_the_fields_own_types() {
    mod as_text {
        use serde::{Deserialize, Deserializer, Serialize, Serializer};

        pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
            number.to_string().serialize(serializer)
        }

        pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
        }
    }

    fn is_default<T: Default + PartialEq>(value: &T) -> bool {
        *value == T::default()
    }

    fn unknown() -> String {
        "unknown".to_string()
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Address {
        city: String,
    }

    #[derive(Debug, PartialEq, TitoEventType)]
    #[serde(rename_all_fields = "camelCase")]
    enum ShopEvent {
        OrderPlaced {
            #[serde(with = "as_text")]
            order_number: u64,
            #[serde(skip_serializing_if = "is_default", default)]
            item_count: u32,
            #[serde(flatten)]
            #[tito(sample = Address { city: "London".to_string() })]
            address: Address,
            #[serde(default = "unknown")]
            sales_channel: String,
            #[serde(skip)]
            cached: Option<u8>,
        },
        #[serde(rename_all = "UPPERCASE")]
        Paid { cents: u64 },
    }

    let placed = ShopEvent::OrderPlaced {
        order_number: 7,
        item_count: 0,
        address: Address { city: "Paris".to_string() },
        sales_channel: "web".to_string(),
        cached: None,
    };
    assert_eq!(placed.encode().unwrap(), br#"{"orderNumber":"7","city":"Paris","salesChannel":"web"}"#);
    assert_eq!(ShopEvent::decode("order-placed", &placed.encode().unwrap()).unwrap(), placed);
    let old = ShopEvent::decode("order-placed", br#"{"orderNumber":"7","city":"Paris"}"#).unwrap();
    assert!(matches!(old, ShopEvent::OrderPlaced { ref sales_channel, .. } if sales_channel == "unknown"));
    assert_eq!(ShopEvent::Paid { cents: 5 }.encode().unwrap(), br#"{"CENTS":5}"#);
    Registry::builder().event::<ShopEvent>().build().unwrap();
}

#[test]
fn a_field_may_be_of_the_type_itself_or_called_anything() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TitoEventType)]
    enum Odd {
        Corrected {
            instead_of: Option<Box<Self>>,
            r#type: u8,
            data: u8,
            value: u8,
        },
        Withdrawn(Option<Box<Self>>),
        #[allow(non_camel_case_types)]
        r#match,
    }

    let inner = Odd::Corrected { instead_of: None, r#type: 1, data: 2, value: 3 };
    let outer = Odd::Corrected { instead_of: Some(Box::new(inner)), r#type: 4, data: 5, value: 6 };
    assert_eq!(Odd::decode("corrected", &outer.encode().unwrap()).unwrap(), outer);
    assert!(String::from_utf8(outer.encode().unwrap()).unwrap().contains(r#""type":4"#));
    let withdrawn = Odd::Withdrawn(Some(Box::new(outer)));
    assert_eq!(Odd::decode("withdrawn", &withdrawn.encode().unwrap()).unwrap(), withdrawn);
    assert_eq!(Odd::r#match.event_type().name, "match");
}

#[derive(Debug, PartialEq, TitoEventType)]
#[tito(validate)]
enum Checked {
    #[tito(sample = Self::Deposited { cents: 5 })]
    Deposited { cents: u64 },
}

impl Validator for Checked {
    fn validate(&self) -> Result<(), BoxError> {
        match self {
            Self::Deposited { cents: 0 } => Err("a deposit of nothing".into()),
            Self::Deposited { .. } => Ok(()),
        }
    }
}

#[test]
fn a_type_with_a_validator_is_validated() {
    assert_eq!(Checked::samples(), [Checked::Deposited { cents: 5 }]);
    let registry = Registry::builder().event::<Checked>().build().unwrap();
    let error = registry.new_event("account.17", &Checked::Deposited { cents: 0 }).unwrap_err();
    assert!(matches!(error, EventStoreError::DataInvalid { .. }), "{error:?}");
    let error = NewEvent::new("account.17", Checked::Deposited { cents: 0 }).data::<Checked>().unwrap_err();
    assert!(matches!(error, EventStoreError::DataInvalid { .. }), "{error:?}");
}

#[test]
fn a_type_whose_default_sample_is_not_valid_is_refused() {
    #[derive(TitoEventType)]
    #[tito(validate)]
    struct Deposited(u64);

    impl Validator for Deposited {
        fn validate(&self) -> Result<(), BoxError> {
            if self.0 == 0 { Err("a deposit of nothing".into()) } else { Ok(()) }
        }
    }

    let error = Registry::builder().event::<Deposited>().build().unwrap_err();
    assert!(matches!(error, EventStoreError::TypeInvalid { ref event_type, .. } if event_type == "deposited"));
}
