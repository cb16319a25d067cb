//! What a target keeps of how far it is filled.

use serde::{Deserialize, Serialize};
use tito_core::{KeyText, TitoError};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::Result;
use crate::keys;

/// The mark of a database that is being filled, under `keys::filling`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// `restore` or `copy`.
    pub(crate) by: String,
    /// The id of the database that the rows are of.
    pub(crate) database: Uuid,
    /// Of a restore the backup's timestamp, raw; 0 of a copy.
    pub(crate) timestamp: u64,
    /// The last key of the source that was dealt with, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<String>,
    /// The hash of all rows of the source up to there.
    #[serde(default)]
    pub(crate) hash: u64,
    /// How many rows of the source these are.
    #[serde(default)]
    pub(crate) entries: u64,
}

impl Mark {
    pub(crate) fn new(by: &'static str, database: Uuid, timestamp: u64) -> Self {
        Self { by: by.to_string(), database, timestamp, position: None, hash: 0, entries: 0 }
    }

    /// Whether both are about the same source.
    pub(crate) fn has_source_of(&self, other: &Self) -> bool {
        (&self.by, self.database, self.timestamp) == (&other.by, other.database, other.timestamp)
    }

    /// Goes on by one row of the source.
    pub(crate) fn pass(&mut self, key: &[u8], value: &[u8]) {
        self.hash = xxh3_64_with_seed(value, xxh3_64_with_seed(key, self.hash));
        self.entries += 1;
        self.position = Some(key.iter().map(|byte| format!("{byte:02x}")).collect());
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        Ok(tito_core::row::encode("the mark of a database that is being filled", self)?)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        Ok(tito_core::row::decode(&keys::filling(), "the mark of a database that is being filled", bytes)?)
    }

    /// The last key of the source that was dealt with.
    pub(crate) fn key(&self) -> Result<Option<Vec<u8>>> {
        let Some(position) = &self.position else { return Ok(None) };
        let byte = |digits: &[u8]| {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            Some((digit(digits[0])? * 16 + digit(*digits.get(1)?)?) as u8)
        };
        let key: Option<Vec<u8>> = position.as_bytes().chunks(2).map(byte).collect();
        let malformed = || TitoError::Malformed {
            key: KeyText::from(keys::filling()),
            expected: "a position in hexadecimal digits",
            source: "it has other characters".into(),
        };
        Ok(Some(key.ok_or_else(malformed)?))
    }
}
