//! The engine below, backups, and verification.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The engine below.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    /// The database's id.
    #[serde(default)]
    pub database: Option<Uuid>,
    /// The version of the format of keys and values.
    #[serde(default)]
    pub format: Option<u32>,
    /// What time it is to the database, in Unix milliseconds.
    pub now_millis: u64,
    /// Whether only the server's process writes to it.
    pub is_only_writer: bool,
    /// Whether what was committed survives the process.
    pub is_durable: bool,
    /// How much space it takes, on an engine that knows.
    #[serde(default)]
    pub sizes: Option<Sizes>,
}

/// How much space a database takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sizes {
    /// Bytes of the database file.
    pub database_bytes: u64,
    /// Bytes of the log beside it.
    pub log_bytes: u64,
    /// Bytes in memory that are not in the database file yet.
    pub unflushed_bytes: u64,
}

/// A table, from its catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its indexes, and whether queries can rest on them: `built`, `behind`, `building`, `dropping`.
    #[serde(default)]
    pub indexes: BTreeMap<String, String>,
    /// Whether the table is being deleted.
    #[serde(default)]
    pub is_dropping: bool,
}

/// How fast everything is read, by a backup or a verification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaceQuery {
    /// How many bytes per second at most: 100 MiB by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
}

/// How a database is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyQuery {
    /// As of [`PaceQuery`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// Whether what a rule says how is put right, which takes the role that destroys.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repair: bool,
}

/// What a verification has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Rows.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// The first thousand rows that are not as they should be.
    #[serde(default)]
    pub differences: Vec<Difference>,
    /// How many such rows there are.
    pub total: u64,
    /// How many of them were put right.
    #[serde(default)]
    pub repaired: u64,
    /// How many of them a repair would put right.
    #[serde(default)]
    pub repairable: u64,
    /// Rows of kinds that the server does not know.
    #[serde(default)]
    pub unknown: u64,
    /// Whether nothing is wrong that was not put right.
    pub is_sound: bool,
    /// Tables whose rows were only checked to be JSON, as their models are the application's.
    #[serde(default)]
    pub tables_without_model: Vec<String>,
    /// Event stores of whose events only the form was checked, and that there are all of them.
    #[serde(default)]
    pub stores_without_types: Vec<String>,
}

/// A row that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Its key, as [`encode_key`](super::encode_key) writes it.
    pub key: String,
    /// What is wrong.
    pub wrong: String,
    /// Whether it was put right.
    #[serde(default)]
    pub is_repaired: bool,
}

/// One check of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Which one.
    pub name: String,
    /// Whether it is well.
    pub is_well: bool,
    /// What is wrong, or how it is.
    #[serde(default)]
    pub text: String,
}

/// Whether the server is live, or ready. Answered with 200 if everything is well, else with 503.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether all checks are well.
    pub is_well: bool,
    /// The checks.
    pub checks: Vec<Check>,
}
