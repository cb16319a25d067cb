//! Rows that are stored as JSON: how they are read and written, and how a row that a program changes keeps what a later
//! version of Tito has stored in it.
//!
//! | file | idea |
//! |---|---|
//! | this one | bytes to values and back |
//! | `checked` | refuses what JSON would hold as something else |
//! | `unknown` | the members of an object that this program does not know |
//! | `kept` | an object together with these: a row, or an object within one |
//! | `scratch` | where JSON is written of which it is not known yet how long it gets |

mod checked;
mod kept;
mod scratch;
mod unknown;

use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use self::kept::{Kept, nested};
pub use self::unknown::UnknownMembers;

use self::checked::{Checked, Path};
use crate::error::{BoxError, KeyText, Result, SharedError, TitoError};

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
    /// What must be under the key, for errors: "a topic in JSON".
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
    /// [`TitoError::Unserializable`], though everything that Tito stores has a form in JSON.
    fn encode(&self) -> Result<Vec<u8>> {
        let bytes = encode(Self::EXPECTED, self)?;
        self.unknown().add_to(bytes).map_err(|source| unserializable(Self::EXPECTED, String::new(), source))
    }
}

/// Reads a value that is stored under `key` and will not be changed: unknown members are ignored.
///
/// # Errors
/// [`TitoError::Malformed`], which names the key and what was expected.
pub fn decode<'a, T: Deserialize<'a>>(key: &[u8], expected: &'static str, bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|source| malformed(key, expected, source))
}

/// A value of Tito's own as it is stored. `what` says what it is, should that fail.
///
/// # Errors
/// [`TitoError::Unserializable`].
pub fn encode(what: impl Display, value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>> {
    scratch::written(|out| serde_json::to_writer(out, value))
        .map_err(|source| unserializable(what, String::new(), source))
}

/// An application's value as JSON, checked: a value that JSON has no form for, such as a float that is not finite, is
/// refused instead of written as something else.
///
/// # Errors
/// [`TitoError::Unserializable`], which names the field.
pub fn encode_checked(what: impl Display, value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>> {
    encode_by(what, value, Path::default())
}

fn encode_by(what: impl Display, value: &(impl Serialize + ?Sized), path: Path) -> Result<Vec<u8>> {
    scratch::written(|out| value.serialize(Checked::new(&mut serde_json::Serializer::new(out), &path)))
        .map_err(|source| unserializable(what, path.to_string(), source))
}

/// Like [`encode_checked`], for a value within another, such as an event's payload.
///
/// # Errors
/// Those of [`encode_checked`].
pub fn raw_checked(what: impl Display, value: &(impl Serialize + ?Sized)) -> Result<Box<RawValue>> {
    let bytes = encode_checked(&what, value)?;
    raw(what, bytes)
}

/// Like [`raw_checked`], for a value whose reader is not known: integers of more than 64 bits are refused too, as a
/// reader that does not expect them, such as a flattened member, can't take them.
///
/// # Errors
/// Those of [`encode_checked`].
pub fn raw_for_any_reader(what: impl Display, value: &(impl Serialize + ?Sized)) -> Result<Box<RawValue>> {
    let bytes = encode_by(&what, value, Path::narrow())?;
    raw(what, bytes)
}

fn raw(what: impl Display, bytes: Vec<u8>) -> Result<Box<RawValue>> {
    String::from_utf8(bytes)
        .map_err(|error| serde::ser::Error::custom(error.utf8_error()))
        .and_then(RawValue::from_string)
        .map_err(|source| unserializable(what, String::new(), source))
}

/// An application's value as it is stored, and as it will be read back: what is computed from the latter can't differ
/// from what is stored, whatever serde attributes a field has.
///
/// # Errors
/// [`TitoError::Unserializable`], which names the field, also for a value that could be written but not read back.
pub fn encode_and_read<T: Serialize + DeserializeOwned>(what: impl Display, value: &T) -> Result<(Vec<u8>, T)> {
    let bytes = encode_checked(&what, value)?;
    let read = check_readable(what, &bytes)?;
    Ok((bytes, read))
}

/// Reads what is about to be stored.
///
/// # Errors
/// Those of [`encode_and_read`].
pub fn check_readable<T: DeserializeOwned>(what: impl Display, bytes: &[u8]) -> Result<T> {
    read(bytes).map_err(|Unreadable { path, source }| {
        unserializable(what, path, format!("once written, it can't be read: {source}"))
    })
}

/// A value of JSON. What can't be read is told with its place.
///
/// # Errors
/// Serde's, with the field.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(bytes).map_err(|source| {
        // Once more, to learn where: keeping the path would cost every value that is good.
        let again = serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_slice(bytes));
        let path = again.err().map(|error| path_of(error.path())).unwrap_or_default();
        Unreadable { path, source: source.into() }
    })
}

/// JSON that can't be read as the type that it should be.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}{path}{}{source}", if path.is_empty() { "" } else { "at " }, if path.is_empty() { "" } else { ": " })]
pub struct Unreadable {
    /// The field, as in [`TitoError::Unserializable`].
    path: String,
    /// Serde's error.
    source: SharedError,
}

fn path_of(path: &serde_path_to_error::Path) -> String {
    // The path of the value as a whole is written as a dot.
    if path.iter().next().is_none() { String::new() } else { path.to_string() }
}

/// The error of what is stored under `key` and is not what was expected.
pub fn malformed(key: &[u8], expected: &'static str, source: impl Into<SharedError>) -> TitoError {
    TitoError::Malformed { key: KeyText::from(key), expected, source: source.into() }
}

fn unserializable(what: impl Display, path: String, source: impl Into<SharedError>) -> TitoError {
    TitoError::Unserializable { what: what.to_string(), path, source: source.into() }
}

#[cfg(test)]
mod tests;
