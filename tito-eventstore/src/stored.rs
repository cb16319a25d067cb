//! What is stored as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tito_core::{KeyText, Result, TitoError};

pub(crate) fn encode(what: &'static str, value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|source| TitoError::Unserializable { what: what.to_string(), source })
}

pub(crate) fn decode<T: DeserializeOwned>(expected: &'static str, key: &[u8], value: &[u8]) -> Result<T> {
    serde_json::from_slice(value).map_err(|source| TitoError::Malformed {
        key: KeyText::from(key),
        expected,
        source: source.into(),
    })
}
