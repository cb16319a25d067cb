//! The fields that a message does not know.
use std::fmt;

use prost::DecodeError;
use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType, encode_key, skip_field};

/// The fields of a message that this crate does not know, as a newer peer sent them: they are written again when the
/// message is.
///
/// Kept are the bytes as they were read, one field after the other, so that nothing has to be known of what they mean; of
/// a field's number and type, the shortest form. A message without such fields has `None`, which costs it eight bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
// The box keeps messages small: nearly all of them have no unknown fields.
#[allow(clippy::box_collection)]
pub struct UnknownFields(Box<Vec<u8>>);

impl UnknownFields {
    /// The fields, encoded one after the other.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads a field of a number and a type that were just read, and adds it. Fails where the bytes are no field, or
    /// groups are nested deeper than prost lets messages be.
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

/// A buffer, and what was read of it.
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
        // Never more than there is: it is asked for first.
        let before = self.bytes.len();
        self.bytes.resize(before + count, 0);
        self.buf.copy_to_slice(&mut self.bytes[before..]);
    }
}
