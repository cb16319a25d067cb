//! The value under which a snapshot is stored: the sequence up to which it was folded and the version, both
//! little-endian, then the state.

use tito_core::{KeyText, Result, TitoError};

const SEQUENCE_BYTES: usize = 8;
const VERSION_BYTES: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored<'a> {
    pub(crate) sequence: u64,
    pub(crate) version: u32,
    pub(crate) state: &'a [u8],
}

impl<'a> Stored<'a> {
    pub(crate) fn decode(key: &[u8], value: &'a [u8]) -> Result<Self> {
        let malformed = || TitoError::Malformed {
            key: KeyText::from(key),
            expected: "a snapshot",
            source: "it is shorter than 12 bytes".into(),
        };
        let (sequence, rest) = value.split_first_chunk::<SEQUENCE_BYTES>().ok_or_else(malformed)?;
        let (version, state) = rest.split_first_chunk::<VERSION_BYTES>().ok_or_else(malformed)?;
        Ok(Self { sequence: u64::from_le_bytes(*sequence), version: u32::from_le_bytes(*version), state })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        [&self.sequence.to_le_bytes()[..], &self.version.to_le_bytes(), self.state].concat()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_and_other_bytes_never_panic(sequence: u64, version: u32, state: Vec<u8>) {
            let stored = Stored { sequence, version, state: &state };
            let value = stored.encode();
            prop_assert_eq!(Stored::decode(b"key", &value).unwrap(), stored);
            prop_assert_eq!(Stored::decode(b"key", &state).is_ok(), state.len() >= 12);
        }
    }
}
