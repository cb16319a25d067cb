//! Random messages, as bytes.
use prost::bytes::BufMut;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

/// Writes random messages with random unknown fields.
pub(crate) struct Writer<'a> {
    random: &'a mut fastrand::Rng,
    /// How many unknown fields were written.
    pub(crate) unknown_fields: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(random: &'a mut fastrand::Rng) -> Self {
        Writer { random, unknown_fields: 0 }
    }

    /// Known and unknown fields in a random order; messages within it are `depth` deep at most. No known field has
    /// its default, which is not written again.
    pub(crate) fn message(&mut self, message: &MessageDescriptor, depth: usize) -> Vec<u8> {
        let mut parts = Vec::new();
        let oneofs: Vec<_> = message.oneofs().collect();
        for oneof in &oneofs {
            let fields: Vec<_> = oneof.fields().collect();
            let chosen = &fields[self.random.usize(..fields.len())];
            self.known(chosen, depth, &mut parts);
        }
        for field in message.fields().filter(|field| field.containing_oneof().is_none()) {
            self.known(&field, depth, &mut parts);
        }
        for _ in 0..self.random.usize(..4) {
            let number = loop {
                let number = match self.random.u8(..3) {
                    0 => self.random.u32(1..40),
                    1 => self.random.u32(1..20_000),
                    _ => self.random.u32(1..1 << 29),
                };
                if message.get_field(number).is_none() {
                    break number;
                }
            };
            let mut part = Vec::new();
            self.unknown(number, 4, &mut part);
            parts.push(part);
            self.unknown_fields += 1;
        }
        self.random.shuffle(&mut parts);
        parts.concat()
    }

    fn known(&mut self, field: &FieldDescriptor, depth: usize, parts: &mut Vec<Vec<u8>>) {
        let is_message = matches!(field.kind(), Kind::Message(_));
        if self.random.bool() || (is_message && depth == 0) {
            return;
        }
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else { unreachable!("the entries of a map are messages") };
            // Protobuf has no place for an unknown field of the entry itself.
            let mut bytes = Vec::new();
            for field in [entry.map_entry_key_field(), entry.map_entry_value_field()] {
                bytes.extend(self.field(&field, depth.saturating_sub(1)));
            }
            parts.push(delimited(field.number(), &bytes));
        } else if field.is_packed() && self.random.bool() {
            let bytes: Vec<u8> = (0..self.random.usize(1..4)).flat_map(|_| self.value(field, depth)).collect();
            parts.push(delimited(field.number(), &bytes));
        } else {
            for _ in 0..if field.is_list() { self.random.usize(1..4) } else { 1 } {
                parts.push(self.field(field, depth));
            }
        }
    }

    fn field(&mut self, field: &FieldDescriptor, depth: usize) -> Vec<u8> {
        let value = self.value(field, depth);
        let wire_type = match field.kind() {
            Kind::Message(_) | Kind::Bytes | Kind::String => return delimited(field.number(), &value),
            Kind::Double => WireType::SixtyFourBit,
            _ => WireType::Varint,
        };
        let mut bytes = Vec::new();
        encode_key(field.number(), wire_type, &mut bytes);
        bytes.extend(value);
        bytes
    }

    fn value(&mut self, field: &FieldDescriptor, depth: usize) -> Vec<u8> {
        let number = match field.kind() {
            Kind::Message(message) => return self.message(&message, depth - 1),
            Kind::Bytes => return self.bytes(1..9),
            Kind::String => return b"text"[..self.random.usize(1..=4)].to_vec(),
            Kind::Double => return self.random.i16(1..).to_string().parse::<f64>().unwrap().to_le_bytes().to_vec(),
            Kind::Bool => 1,
            // Small enough for all kinds of numbers, and no value of some enumerations.
            Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Enum(_) => self.random.u64(1..200),
            Kind::Uint64 => self.random.u64(1..),
            other => unreachable!("the protocol has no {other:?}"),
        };
        let mut bytes = Vec::new();
        encode_varint(number, &mut bytes);
        bytes
    }

    fn bytes(&mut self, length: std::ops::Range<usize>) -> Vec<u8> {
        let length = self.random.usize(length);
        std::iter::repeat_with(|| self.random.u8(..)).take(length).collect()
    }

    /// A field of any type; groups are nested `depth` deep at most.
    fn unknown(&mut self, number: u32, depth: usize, bytes: &mut Vec<u8>) {
        match self.random.u8(..if depth > 0 { 5 } else { 4 }) {
            0 => {
                encode_key(number, WireType::Varint, bytes);
                encode_varint(self.random.u64(..) >> self.random.u8(..64), bytes);
            }
            1 => {
                encode_key(number, WireType::SixtyFourBit, bytes);
                bytes.put_u64_le(self.random.u64(..));
            }
            2 => {
                encode_key(number, WireType::ThirtyTwoBit, bytes);
                bytes.put_u32_le(self.random.u32(..));
            }
            3 => {
                let value = self.bytes(0..300);
                bytes.extend(delimited(number, &value));
            }
            _ => {
                encode_key(number, WireType::StartGroup, bytes);
                for _ in 0..self.random.usize(..4) {
                    let inner = self.random.u32(1..100);
                    self.unknown(inner, depth - 1, bytes);
                }
                encode_key(number, WireType::EndGroup, bytes);
            }
        }
    }
}

fn delimited(number: u32, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut bytes);
    encode_varint(value.len() as u64, &mut bytes);
    bytes.extend(value);
    bytes
}
