//! Fields that a message doesn't know.
use std::fmt;

use prost::DecodeError;
use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType, encode_key, skip_field};

/// The fields of a message that this crate doesn't know, as a newer peer sent them. They are written again with the
/// message.
///
/// The bytes are kept as read, one field after another, so nothing has to be known about their meaning; a field's
/// number and type are kept in their shortest form. A message without such fields has `None`, which takes eight bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
// The box keeps messages small: hardly any have unknown fields.
#[allow(clippy::box_collection)]
pub struct UnknownFields(Box<Vec<u8>>);

impl UnknownFields {
    /// The fields, encoded one after the other.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads and adds a field whose number and type were just read. Fails if the bytes are not a field, or if groups
    /// are nested more deeply than prost allows for messages.
    #[cold]
    pub(crate) fn merge(
        fields: &mut Option<Self>,
        number: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        let bytes = &mut *fields.get_or_insert_with(|| Self(Box::default())).0;
        encode_key(number, wire_type, bytes);
        skip_field(wire_type, number, &mut Recorded { buf, bytes }, context)
    }

    pub(crate) fn encode(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    pub(crate) fn encoded_len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for UnknownFields {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:02x?}", self.0)
    }
}

/// A buffer, and what was read from it.
struct Recorded<'a, B> {
    buf: &'a mut B,
    bytes: &'a mut Vec<u8>,
}

impl<B: Buf> Buf for Recorded<'_, B> {
    fn remaining(&self) -> usize {
        self.buf.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.buf.chunk()
    }

    fn advance(&mut self, count: usize) {
        // Never more than there is: the length is checked first.
        let before = self.bytes.len();
        self.bytes.resize(before + count, 0);
        self.buf.copy_to_slice(&mut self.bytes[before..]);
    }
}
