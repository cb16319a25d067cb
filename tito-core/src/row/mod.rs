//! Rows that are stored as JSON: how they are read and written, and what keeps a row that a program changes from losing
//! what a later version of Tito has stored in it.
//!
//! | file | idea |
//! |---|---|
//! | this one | bytes to values and back |
//! | `unknown` | the members of an object that this program does not know |
//! | `kept` | an object together with these, be it a row or an object within one |

mod kept;
mod unknown;

use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::kept::{Kept, nested};
pub use self::unknown::UnknownMembers;

use crate::error::{BoxError, KeyText, Result, TitoError};

/// An object whose unknown members are kept: a row, or an object within one. Implemented by
/// [`keeps_unknown_members!`](crate::keeps_unknown_members).
///
/// Serde's own traits, as the derive implements them, know nothing of these members. [`StoredRow`] and [`nested`] add them.
pub trait KeepsUnknownMembers: Serialize + DeserializeOwned {
    /// The members that this program does not know.
    fn unknown(&self) -> &UnknownMembers;

    /// The same, to be set.
    fn unknown_mut(&mut self) -> &mut UnknownMembers;
}

/// Implements [`KeepsUnknownMembers`](crate::row::KeepsUnknownMembers) for types that have a field
/// `unknown: UnknownMembers` with the attribute `#[serde(skip)]`.
#[macro_export]
macro_rules! keeps_unknown_members {
    ($($type:ty),+ $(,)?) => {$(
        impl $crate::row::KeepsUnknownMembers for $type {
            fn unknown(&self) -> &$crate::row::UnknownMembers {
                &self.unknown
            }

            fn unknown_mut(&mut self) -> &mut $crate::row::UnknownMembers {
                &mut self.unknown
            }
        }

        impl $crate::row::nested::Nested for $type {
            type Read<'de> = $crate::row::Kept<$type>;

            fn of($crate::row::Kept(read): $crate::row::Kept<$type>) -> Self {
                read
            }

            fn write<S: $crate::__private::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::__private::Serialize::serialize(&$crate::row::Kept(self), serializer)
            }
        }
    )+};
}

/// What is stored as a JSON object under a key, and may be read, changed and written again.
pub trait StoredRow: KeepsUnknownMembers {
    /// What has to be under the key, as errors say it: "a topic in JSON".
    const EXPECTED: &'static str;

    /// Checks what JSON alone does not.
    ///
    /// # Errors
    /// What is wrong.
    fn check(&self) -> Result<(), BoxError> {
        Ok(())
    }

    /// Reads the row that is stored under `key`.
    ///
    /// # Errors
    /// [`TitoError::Malformed`], which names the key.
    fn decode(key: &[u8], bytes: &[u8]) -> Result<Self> {
        let Kept(row) = decode::<Kept<Self>>(key, Self::EXPECTED, bytes)?;
        row.check().map_err(|source| malformed(key, Self::EXPECTED, source))?;
        Ok(row)
    }

    /// The row as it is stored, with the members that were unknown when it was read.
    ///
    /// # Errors
    /// [`TitoError::Unserializable`]; none that has been seen, as all that Tito stores has a form in JSON.
    fn encode(&self) -> Result<Vec<u8>> {
        let bytes = encode(Self::EXPECTED, self)?;
        self.unknown().add_to(bytes).map_err(|source| unserializable(Self::EXPECTED, source))
    }
}

/// Reads a value that is stored under `key` and is not changed: members that are not known are passed over.
///
/// # Errors
/// [`TitoError::Malformed`], which names the key and what was expected.
pub fn decode<'a, T: Deserialize<'a>>(key: &[u8], expected: &'static str, bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|source| malformed(key, expected, source))
}

/// A value as it is stored. `what` says what it is, should that fail.
///
/// # Errors
/// [`TitoError::Unserializable`].
pub fn encode(what: impl Display, value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|source| unserializable(what, source))
}

/// The error of what is stored under `key` and is not what was expected.
pub fn malformed(key: &[u8], expected: &'static str, source: impl Into<BoxError>) -> TitoError {
    TitoError::Malformed { key: KeyText::from(key), expected, source: source.into() }
}

fn unserializable(what: impl Display, source: serde_json::Error) -> TitoError {
    TitoError::Unserializable { what: what.to_string(), source }
}

#[cfg(test)]
mod tests;
