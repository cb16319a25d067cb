//! The beginning of a backup: which database, and as of when.

use serde::{Deserialize, Serialize};
use tito_core::Timestamp;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

/// What a backup begins with.
pub(crate) const MAGIC: &[u8; 8] = b"titobak1";

/// The form of backups that this version writes, and the last that it reads.
pub(crate) const FORMAT: u32 = 1;

/// More than any header has, so that no length that was altered makes a reader wait for bytes without end.
pub(crate) const MOST_HEADER_BYTES: u32 = 64 << 10;

/// What a backup is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Header {
    /// The format of the backup.
    pub format: u32,
    /// The id of the database.
    pub database: Uuid,
    /// The format of the keys and values in it, from the database's identity.
    pub database_format: u32,
    /// The point in history, raw: it contains everything committed with a timestamp below this, and nothing else.
    pub timestamp: u64,
    /// When it was taken by the database's time, in Unix milliseconds.
    pub taken_millis: u64,
}

impl Header {
    pub(crate) fn new(database: Uuid, database_format: u32, timestamp: Timestamp, taken_millis: u64) -> Self {
        Self { format: FORMAT, database, database_format, timestamp: timestamp.raw(), taken_millis }
    }

    /// The point in history.
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_raw(self.timestamp)
    }

    /// The bytes, and their checksum: the seed of all that follow.
    pub(crate) fn encode(&self) -> (Vec<u8>, u64) {
        let json = serde_json::to_vec(self).expect("a header in JSON");
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&(json.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&json);
        let checksum = xxh3_64(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        (bytes, checksum)
    }
}
