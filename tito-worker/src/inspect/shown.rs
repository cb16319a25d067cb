//! How keys and bytes are shown in JSON.

use serde::Serializer;
use tito_core::KeyText;
use tito_core::event::TitoEvent;

/// A key as text, in full: those that Tito writes are.
pub(crate) fn serialize_key<S: Serializer>(key: &KeyText, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(key.as_bytes()))
}

/// Bytes that could not be read, as text as far as they are.
pub(crate) fn serialize_unreadable<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(bytes))
}

/// Whether bytes are shown already, as the event that they are.
pub(crate) fn is_event(bytes: &[u8]) -> bool {
    TitoEvent::decode(&[], bytes).is_ok()
}
