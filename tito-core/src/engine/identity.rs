//! The row that says which database this is, and how it is written.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::traits::{TitoEngine, TitoTransaction};
use crate::error::{KeyText, Result, TitoError};
use crate::keys;

/// The form in which this version of Tito writes keys and values. `docs/format.md` specifies it.
const FORMAT: u32 = 1;

/// How often a database is asked again whose row another process may have written.
const LOOKS: u32 = 8;

/// What a database says of itself, in a row of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatabaseIdentity {
    /// Made up when the database was created; a copy made by Tito gets another.
    pub id: Uuid,
    /// The version of the form in which its keys and values are written. A program that knows only earlier ones must not
    /// touch it.
    pub format: u32,
}

impl DatabaseIdentity {
    fn new() -> Self {
        let id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid();
        Self { id, format: FORMAT }
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let malformed = |source: serde_json::Error| TitoError::Malformed {
            key: KeyText::from(keys::database_identity().as_slice()),
            expected: "the identity of a database",
            source: source.into(),
        };
        // The format first: a later one may have another id, or none.
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let Format { format } = serde_json::from_slice(bytes).map_err(malformed)?;
        if format > FORMAT {
            return Err(TitoError::NewerFormat { found: format, known: FORMAT });
        }
        serde_json::from_slice(bytes).map_err(malformed)
    }
}

/// What the database says of itself; a database that says nothing yet is given an identity. Every engine calls it before
/// anything else is read or written, and keeps the answer in its [`EngineContext`](super::EngineContext).
///
/// # Errors
/// [`TitoError::NewerFormat`] if the database was written by a later version of Tito; [`TitoError::Malformed`] if the row
/// is not one; those of the engine.
pub async fn identify<E: TitoEngine>(engine: &E) -> Result<DatabaseIdentity> {
    let mut looks = 0;
    loop {
        looks += 1;
        let tx = engine.begin().await?;
        let stored = tx.get(&keys::database_identity()).await;
        if let Some(bytes) = stored? {
            tx.rollback().await;
            return DatabaseIdentity::decode(&bytes);
        }
        let identity = DatabaseIdentity::new();
        let value = serde_json::to_vec(&identity)
            .map_err(|source| TitoError::Unserializable { what: "the identity of a database".to_string(), source })?;
        tx.insert(keys::database_identity(), value).await?;
        match tx.commit().await {
            Ok(_) => return Ok(identity),
            // Another process was quicker, or this one was and was not told.
            Err(
                TitoError::Conflict { .. }
                | TitoError::AlreadyExists { .. }
                | TitoError::CommitUnknown { .. }
                | TitoError::Unavailable { .. },
            ) if looks < LOOKS => {}
            Err(error) => return Err(error),
        }
    }
}
