//! The version of a row when it was read, so that a later write can tell whether it has changed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// The state in which a row was read: a hash of its stored form. A row that is written back as it was has the same
/// version again, in any process and engine.
///
/// It is written as text, 32 hexadecimal digits, by [`Display`](fmt::Display) and serde, and read back with
/// [`FromStr`]: it can go into an event's payload, a form or the `ETag` of an answer. It detects concurrent changes,
/// and is no protection against somebody who makes up rows with equal hashes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RowVersion(u128);

const DIGITS: usize = 32;

impl RowVersion {
    pub(crate) fn of(stored: &[u8]) -> Self {
        Self(xxh3_128(stored))
    }
}

/// A text that is not a [`RowVersion`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a row's version: expected 32 hexadecimal digits in lower case")]
pub struct InvalidRowVersion;

impl fmt::Display for RowVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0DIGITS$x}", self.0)
    }
}

impl fmt::Debug for RowVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowVersion({self})")
    }
}

impl FromStr for RowVersion {
    type Err = InvalidRowVersion;

    fn from_str(text: &str) -> Result<Self, InvalidRowVersion> {
        let is_hexadecimal = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let number = u128::from_str_radix(text, 16).ok().filter(|_| is_hexadecimal && text.len() == DIGITS);
        number.map(Self).ok_or(InvalidRowVersion)
    }
}

impl TryFrom<String> for RowVersion {
    type Error = InvalidRowVersion;

    fn try_from(text: String) -> Result<Self, InvalidRowVersion> {
        text.parse()
    }
}

impl From<RowVersion> for String {
    fn from(version: RowVersion) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_back_from_its_text_and_from_json() {
        for version in [RowVersion(0), RowVersion(u128::MAX), RowVersion::of(b"{}")] {
            let text = version.to_string();
            assert_eq!((text.len(), text.parse::<RowVersion>().unwrap()), (DIGITS, version));
            let json = serde_json::to_string(&version).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<RowVersion>(&json).unwrap(), version);
        }
        let text = RowVersion::of(b"{}").to_string();
        for bad in ["", "0", &text[1..], &format!("{text}0"), &text.to_uppercase(), &format!("+{}", &text[1..]), "ü"] {
            assert_eq!(bad.parse::<RowVersion>(), Err(InvalidRowVersion), "{bad}");
        }
    }
}
