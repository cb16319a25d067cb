//! What decides when and where an event is handed out.

use std::borrow::Cow;

use serde::Deserialize;
use uuid::Uuid;

use super::record::TitoEvent;
use crate::error::Result;
use crate::row::{self, StoredRow};

/// The part of an event that decides when and where it is handed out. Reading it costs half as much as reading the
/// whole [`TitoEvent`](super::TitoEvent). The rest of the event is not checked.
#[derive(Clone, Debug, Deserialize)]
pub struct EventHead<'a> {
    /// The event's id.
    pub id: Uuid,
    /// What it happened to.
    #[serde(borrow)]
    pub entity: Cow<'a, str>,
    /// When it may be tried again, in Unix seconds, if a strict subscription has postponed it.
    #[serde(default)]
    pub not_before: Option<i64>,
    /// See [`TitoEvent::deaths`](super::TitoEvent::deaths).
    #[serde(default)]
    pub deaths: Option<u32>,
}

impl<'a> EventHead<'a> {
    /// Reads the head of the event that is stored under `key`.
    ///
    /// # Errors
    /// [`TitoError::Malformed`](crate::TitoError::Malformed), which names the key.
    pub fn decode(key: &[u8], bytes: &'a [u8]) -> Result<Self> {
        row::decode(key, TitoEvent::EXPECTED, bytes)
    }
}
