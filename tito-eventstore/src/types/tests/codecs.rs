use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::types::{Binary, BinaryData, Codec, CodecOf, Json};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Order {
    number: u64,
    delta: i64,
    customer: String,
    lines: Vec<Line>,
    notes: BTreeMap<String, Option<String>>,
    seal: (bool, u8),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Line {
    Item { name: String, cents: i32 },
    Voucher(Vec<u8>),
    Empty,
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let line = prop_oneof![
        any::<(String, i32)>().prop_map(|(name, cents)| Line::Item { name, cents }),
        any::<Vec<u8>>().prop_map(Line::Voucher),
        Just(Line::Empty),
    ];
    prop::collection::vec(line, 0..5)
}

prop_compose! {
    fn orders()(
        number: u64,
        delta: i64,
        customer: String,
        lines in lines(),
        notes in prop::collection::btree_map(any::<String>(), any::<Option<String>>(), 0..4),
        seal: (bool, u8),
    ) -> Order {
        Order { number, delta, customer, lines, notes, seal }
    }
}

fn round_trips<C: CodecOf<T>, T: PartialEq + std::fmt::Debug>(value: &T) {
    let bytes = C::encode(value).unwrap();
    assert_eq!(C::decode(&bytes).unwrap(), *value);
}

/// A value from a fuzzed beginning of itself, or from anything: an error or a value, and no panic.
fn reads_anything<C: CodecOf<T>, T>(value: &T, cut: usize, flip: (usize, u8), noise: &[u8]) {
    let mut bytes = C::encode(value).unwrap();
    bytes.truncate(cut % (bytes.len() + 1));
    let _ = C::decode(&bytes);
    if !bytes.is_empty() {
        let at = flip.0 % bytes.len();
        bytes[at] ^= flip.1;
    }
    let _ = C::decode(&bytes);
    let _ = C::decode(noise);
}

proptest! {
    #[test]
    fn json_brings_every_value_back(order in orders()) {
        round_trips::<Json, _>(&order);
    }

    #[test]
    fn bytes_and_text_come_back_as_they_were(bytes: Vec<u8>, text: String) {
        round_trips::<Binary, _>(&bytes);
        round_trips::<Binary, _>(&text);
    }

    #[test]
    fn hostile_json_and_bytes_never_panic(
        order in orders(), text: String, cut: usize, flip: (usize, u8), noise: Vec<u8>,
    ) {
        reads_anything::<Json, _>(&order, cut, flip, &noise);
        reads_anything::<Binary, _>(&text, cut, flip, &noise);
    }
}

#[test]
fn each_codec_says_which_it_is() {
    assert_eq!(<Json as CodecOf<Order>>::CODEC, Codec::Json);
    assert_eq!(<Binary as CodecOf<String>>::CODEC, Codec::Binary);
}

#[test]
fn what_stands_behind_a_value_is_an_error() {
    assert!(<Json as CodecOf<u8>>::decode(b"1 2").is_err());
    assert!(<() as BinaryData>::from_bytes(b"x").unwrap_err().to_string().contains("there are 1"));
}

#[test]
fn deeply_nested_json_is_an_error() {
    let deep = "[".repeat(100_000);
    assert!(<Json as CodecOf<serde_json::Value>>::decode(deep.as_bytes()).is_err());
}

#[cfg(feature = "messagepack")]
mod messagepack {
    use super::*;
    use crate::types::MessagePack;

    proptest! {
        #[test]
        fn messagepack_brings_every_value_back(order in orders()) {
            round_trips::<MessagePack, _>(&order);
        }

        #[test]
        fn hostile_messagepack_never_panics(
            order in orders(), cut: usize, flip: (usize, u8), noise: Vec<u8>,
        ) {
            reads_anything::<MessagePack, _>(&order, cut, flip, &noise);
            let _ = <MessagePack as CodecOf<serde_json::Value>>::decode(&noise);
        }
    }

    #[test]
    fn fields_can_be_added_to_messagepack_because_they_are_named() {
        #[derive(Serialize, Deserialize)]
        struct Old {
            b: u8,
        }

        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct New {
            #[serde(default)]
            a: u8,
            b: u8,
        }

        let bytes = MessagePack::encode(&Old { b: 7 }).unwrap();
        assert_eq!(<MessagePack as CodecOf<New>>::decode(&bytes).unwrap(), New { a: 0, b: 7 });
        assert_eq!(<MessagePack as CodecOf<New>>::CODEC, Codec::MessagePack);
    }

    #[test]
    fn what_stands_behind_a_value_of_messagepack_is_an_error() {
        let bytes = [MessagePack::encode(&5_u8).unwrap(), vec![0, 0]].concat();
        let error = <MessagePack as CodecOf<u8>>::decode(&bytes).unwrap_err();
        assert_eq!(error.to_string(), "2 bytes are left behind the value");
    }

    #[test]
    fn a_length_beyond_the_bytes_and_deep_nesting_are_errors() {
        // A text, an array and a map of 4 GB each, and nothing of them.
        for marker in [0xdb, 0xc6, 0xdd, 0xdf] {
            let hostile = [marker, 0xff, 0xff, 0xff, 0xff];
            assert!(<MessagePack as CodecOf<serde_json::Value>>::decode(&hostile).is_err(), "{marker:x}");
            assert!(<MessagePack as CodecOf<Vec<String>>>::decode(&hostile).is_err(), "{marker:x}");
        }
        let nested = |levels| [vec![0x91; levels], vec![0xc0]].concat();
        assert!(<MessagePack as CodecOf<serde_json::Value>>::decode(&nested(100)).is_ok());
        assert!(<MessagePack as CodecOf<serde_json::Value>>::decode(&nested(100_000)).is_err());
    }
}

#[cfg(feature = "protobuf")]
mod protobuf {
    use prost::Message;

    use super::*;
    use crate::types::Protobuf;

    #[derive(Clone, PartialEq, Message)]
    struct Payment {
        #[prost(int64, tag = "1")]
        cents: i64,
        #[prost(string, tag = "2")]
        payer: String,
        #[prost(bytes, repeated, tag = "3")]
        seals: Vec<Vec<u8>>,
        #[prost(message, optional, boxed, tag = "4")]
        earlier: Option<Box<Payment>>,
    }

    fn payments() -> impl Strategy<Value = Payment> {
        any::<(i64, String, Vec<Vec<u8>>, Option<i64>)>().prop_map(|(cents, payer, seals, earlier)| {
            let earlier = earlier.map(|cents| Box::new(Payment { cents, ..Payment::default() }));
            Payment { cents, payer, seals, earlier }
        })
    }

    proptest! {
        #[test]
        fn protobuf_brings_every_message_back(payment in payments()) {
            round_trips::<Protobuf, _>(&payment);
        }

        #[test]
        fn hostile_protobuf_never_panics(
            payment in payments(), cut: usize, flip: (usize, u8), noise: Vec<u8>,
        ) {
            reads_anything::<Protobuf, _>(&payment, cut, flip, &noise);
        }
    }

    #[test]
    fn protobuf_says_that_it_is_protobuf() {
        assert_eq!(<Protobuf as CodecOf<Payment>>::CODEC, Codec::Protobuf);
    }
}
