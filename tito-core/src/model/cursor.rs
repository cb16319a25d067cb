//! Where a read stopped, in a form that survives the process.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::TitoError;

/// The place after the last row of a [page](super::Page), or after the last step of a
/// [reindexing](super::TitoTable::reindex).
///
/// It is written as text (by [`Display`](fmt::Display) and serde: 8 hexadecimal digits of a checksum, then those of the
/// key) and read back with [`FromStr`]. A cursor contains the key that was read last, which reveals ids and indexed
/// values to whoever gets it; it grants nothing else.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor {
    key: Vec<u8>,
}

const CHECKSUM_DIGITS: usize = 8;

impl Cursor {
    pub(super) fn new(key: Vec<u8>) -> Self {
        Self { key }
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }
}

fn checksum(key: &[u8]) -> u32 {
    // The lower half of the hash is as good a checksum as the whole.
    xxh3_64(key) as u32
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", checksum(&self.key))?;
        self.key.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({self})")
    }
}

impl FromStr for Cursor {
    type Err = TitoError;

    fn from_str(text: &str) -> Result<Self, TitoError> {
        let broken = |reason| TitoError::InvalidCursor { reason };
        if !text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)) {
            return Err(broken("expected hexadecimal digits in lower case"));
        }
        if text.len() <= CHECKSUM_DIGITS || !text.len().is_multiple_of(2) {
            return Err(broken("it is cut off"));
        }
        let number = |digits| u32::from_str_radix(digits, 16).map_err(|_| broken("expected hexadecimal digits"));
        let (expected, digits) = text.split_at(CHECKSUM_DIGITS);
        let key = (0..digits.len())
            .step_by(2)
            .map(|at| number(&digits[at..at + 2]).map(|byte| byte as u8))
            .collect::<Result<Vec<u8>, _>>()?;
        if checksum(&key) != number(expected)? {
            return Err(broken("its checksum is wrong: it was cut or changed"));
        }
        Ok(Self { key })
    }
}

impl TryFrom<String> for Cursor {
    type Error = TitoError;

    fn try_from(text: String) -> Result<Self, TitoError> {
        text.parse()
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.to_string()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_from_its_text_and_from_json() {
        let cursor = Cursor::new(b"data:user:\xf0\x9f\x8e\x88".to_vec());
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        let json = serde_json::to_string(&cursor).unwrap();
        assert_eq!(json, format!("\"{cursor}\""));
        assert_eq!(serde_json::from_str::<Cursor>(&json).unwrap(), cursor);
    }

    #[test]
    fn a_cursor_that_was_cut_or_changed_is_refused() {
        let text = Cursor::new(b"data:user:1".to_vec()).to_string();
        for length in 0..text.len() {
            text[..length].parse::<Cursor>().unwrap_err();
        }
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            String::from_utf8(changed).unwrap().parse::<Cursor>().unwrap_err();
        }
        for strange in ["zz", "🎈🎈🎈🎈", "+1+1+1+1+1", "ABCDEF0011"] {
            strange.parse::<Cursor>().unwrap_err();
        }
    }
}
