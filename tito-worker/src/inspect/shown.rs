//! How keys and bytes are shown in JSON.

use std::borrow::Cow;

use serde::Serializer;
use tito_core::KeyText;

/// Bytes as text, as far as they are.
pub(crate) fn shown_bytes(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// A key as text, in full: those that Tito writes are.
pub(crate) fn serialize_key<S: Serializer>(key: &KeyText, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&shown_bytes(key.as_bytes()))
}

/// A key that there may be, the same.
pub(crate) fn serialize_key_or_none<S: Serializer>(key: &Option<KeyText>, serializer: S) -> Result<S::Ok, S::Error> {
    match key {
        Some(key) => serialize_key(key, serializer),
        None => serializer.serialize_none(),
    }
}

/// Bytes that are no event, as text as far as they are.
pub(crate) fn serialize_bytes<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    match bytes {
        Some(bytes) => serializer.serialize_str(&shown_bytes(bytes)),
        None => serializer.serialize_none(),
    }
}
