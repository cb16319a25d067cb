//! Which database this is, and how it is written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::contract::TitoEngine;
use super::filling::check_whole_in;
use super::mutations::{Mutation, Mutations};
use super::signals::Signals;
use crate::error::{Result, TitoError};
use crate::keys;
use crate::row;

/// The form in which this version of Tito writes keys and values. `docs/format.md` specifies it.
const FORMAT: u32 = 1;

/// How often a database is asked again when another process may have written its row.
const LOOKS: u32 = 8;

const EXPECTED: &str = "the identity of a database";

/// A database's description of itself, in a row that no scan shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatabaseIdentity {
    /// Generated when the database was created, or first opened by a version of Tito that assigns one.
    pub id: Uuid,
    /// The version of the format of its keys and values. A program that knows only earlier ones does not open it.
    pub format: u32,
}

impl DatabaseIdentity {
    /// The latest [`format`](DatabaseIdentity::format) that this version knows, and the one that it writes.
    pub const LATEST_FORMAT: u32 = FORMAT;

    /// The identity of a new database, with an id that is drawn at random.
    pub fn random() -> Self {
        let id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid();
        Self { id, format: FORMAT }
    }

    /// The identity of a database that keeps it in the row [`keys::database_identity`]; a database without one is given
    /// one. For engines that several processes may open at once: all of them get the same identity. Costs a transaction
    /// that reads a key, and one more the first time.
    ///
    /// # Errors
    /// Those of [`decode`](DatabaseIdentity::decode), [`TitoError::IncompleteDatabase`], and those of the engine's transactions.
    pub async fn of_engine(engine: &dyn TitoEngine) -> Result<Self> {
        let mut looks = 0;
        loop {
            looks += 1;
            let tx = engine.begin(None).await?;
            if let Some(bytes) = tx.get(&keys::database_identity()).await? {
                let identity = Self::decode(&bytes)?;
                check_whole_in(&*tx).await?;
                return Ok(identity);
            }
            let identity = Self::random();
            // Past the limits that the application has set: this is the engine's own.
            let mutation = Mutation { value: Some(identity.encode()?), must_be_new: true };
            let writes = BTreeMap::from([(keys::database_identity(), mutation)]);
            match tx.commit(Mutations { writes, ..Mutations::default() }, Signals::default()).await {
                Ok(_) => return Ok(identity),
                // Another process was quicker, or this one was and was not told.
                Err(TitoError::AlreadyExists { .. } | TitoError::CommitUnknown { .. }) if looks < LOOKS => {}
                Err(error) if error.is_replayed() && looks < LOOKS => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Like [`of_engine`](DatabaseIdentity::of_engine), of a database that there has to be: nothing is written.
    ///
    /// # Errors
    /// The same, and [`TitoError::NoDatabase`].
    pub async fn of_existing(engine: &dyn TitoEngine) -> Result<Self> {
        let tx = engine.begin(None).await?;
        let Some(bytes) = tx.get(&keys::database_identity()).await? else {
            let reason = "there is no row that says which it is; an application that opens it writes one";
            return Err(TitoError::NoDatabase { reason: reason.to_string() });
        };
        let identity = Self::decode(&bytes)?;
        check_whole_in(&*tx).await?;
        Ok(identity)
    }

    /// Reads what is stored.
    ///
    /// # Errors
    /// [`TitoError::NewerFormat`] if the database was written by a later version of Tito; [`TitoError::Malformed`] if it
    /// is no identity.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let key = keys::database_identity();
        // The format first: a later one may have another id, or none.
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let Format { format } = row::decode(&key, EXPECTED, bytes)?;
        if format > FORMAT {
            return Err(TitoError::NewerFormat { found: format, known: FORMAT });
        }
        row::decode(&key, EXPECTED, bytes)
    }

    /// What is stored.
    ///
    /// # Errors
    /// None known.
    pub fn encode(&self) -> Result<Vec<u8>> {
        row::encode(EXPECTED, self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_a_later_version_wrote_is_told_by_its_format_alone() {
        for later in [&br#"{"format":2}"#[..], br#"{"format":2,"id":17,"more":null}"#] {
            let error = DatabaseIdentity::decode(later).unwrap_err();
            assert!(matches!(error, TitoError::NewerFormat { found: 2, known: 1 }), "{error:?}");
            assert!(error.to_string().contains("later version"), "{error}");
        }
    }

    #[test]
    fn what_is_no_identity_is_an_error() {
        for malformed in [&b""[..], b"{}", b"null", br#"{"format":1}"#, br#"{"format":-1,"id":""}"#, b"\xff"] {
            let error = DatabaseIdentity::decode(malformed).unwrap_err();
            assert!(matches!(error, TitoError::Malformed { .. }), "{error:?}");
        }
    }
}
