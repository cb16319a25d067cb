//! Databases that are filled from elsewhere, and refuse to be opened until they are whole.

use std::collections::BTreeMap;

use super::contract::{Direction, TitoEngine, TitoTransaction};
use super::identity::DatabaseIdentity;
use super::mutations::{Mutation, Mutations};
use super::signals::Signals;
use crate::error::{Result, TitoError};
use crate::keys::{self, KeyRange};
use crate::timestamp::Timestamp;

/// How often a database is asked again when another process may have written its rows.
const LOOKS: u32 = 8;

/// How to open a database that is filled from elsewhere, by a restore or a copy: empty at first, with a mark under
/// [`keys::filling`] that makes every other opening fail with [`TitoError::IncompleteDatabase`]. Whoever fills it notes
/// the progress in the mark, and deletes it in the transaction that completes the database.
///
/// When it is opened again to be filled, it has the mark that was written last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filling {
    mark: Vec<u8>,
    after: Timestamp,
}

/// What a database is opened for.
#[derive(Clone, Debug)]
#[cfg_attr(not(any(feature = "embedded", feature = "tikv")), allow(dead_code, reason = "read by the engines"))]
pub(crate) enum Purpose {
    /// To be used, and created where there is none.
    Use,
    /// It has to be there.
    Look,
    /// It has to be there, and stays as it is.
    Read,
    /// It is filled from elsewhere.
    Fill(Filling),
}

impl Filling {
    /// With this initial mark, in JSON, and all timestamps after `after`: the last one that the source of the data may
    /// have handed out.
    pub fn new(mark: Vec<u8>, after: Timestamp) -> Self {
        Self { mark, after }
    }

    /// The mark at first.
    pub fn mark(&self) -> &[u8] {
        &self.mark
    }

    /// The timestamp that all others come after.
    pub fn after(&self) -> Timestamp {
        self.after
    }

    /// Prepares a database that keeps its identity in the row [`keys::database_identity`]: an empty one gets an identity
    /// and the mark. For engines that several processes may open at once, when they are opened.
    ///
    /// # Errors
    /// [`TitoError::InvalidTarget`] if it is neither empty nor marked, or timestamps are not after
    /// [`after`](Filling::after); those of the engine's transactions.
    pub async fn prepare(&self, engine: &dyn TitoEngine) -> Result<DatabaseIdentity> {
        let mut looks = 0;
        loop {
            looks += 1;
            let tx = engine.begin(None).await?;
            self.check_start(tx.start_timestamp())?;
            if let Some(identity) = tx.get(&keys::database_identity()).await? {
                let identity = DatabaseIdentity::decode(&identity)?;
                return match tx.get(&keys::filling()).await? {
                    Some(_) => Ok(identity),
                    None => Err(is_one_already()),
                };
            }
            if let Some((first, _)) = tx.scan(KeyRange::prefix(""), Direction::Ascending, 1).await?.first() {
                let reason = format!("it is not empty: there is the key {}", crate::KeyText::from(first.as_slice()));
                return Err(TitoError::InvalidTarget { reason });
            }
            let identity = DatabaseIdentity::random();
            let new = |value| Mutation { value: Some(value), must_be_new: true };
            let rows = [(keys::database_identity(), identity.encode()?), (keys::filling(), self.mark.clone())];
            let writes: BTreeMap<_, _> = rows.into_iter().map(|(key, value)| (key, new(value))).collect();
            match tx.commit(Mutations { writes, ..Mutations::default() }, Signals::default()).await {
                Ok(_) => return Ok(identity),
                // Another process was quicker, or this one was and was not told.
                Err(TitoError::AlreadyExists { .. } | TitoError::CommitUnknown { .. }) if looks < LOOKS => {}
                Err(error) if error.is_replayed() && looks < LOOKS => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn check_start(&self, start: Timestamp) -> Result<()> {
        if start > self.after {
            return Ok(());
        }
        let (now, after) = (start.physical_millis(), self.after.physical_millis());
        let reason = format!(
            "its timestamps have to be after those of what fills it, but stand at millisecond {now}, and those at {after}: \
             wait until its clock is past that, or set the clock right"
        );
        Err(TitoError::InvalidTarget { reason })
    }
}

/// Fails unless the database is complete: nobody is filling it.
pub(crate) fn check_whole(mark: Option<&[u8]>) -> Result<()> {
    match mark {
        None => Ok(()),
        Some(mark) => Err(TitoError::IncompleteDatabase { mark: String::from_utf8_lossy(mark).into_owned() }),
    }
}

/// Like [`check_whole`], as a transaction sees it.
pub(super) async fn check_whole_in(tx: &dyn TitoTransaction) -> Result<()> {
    check_whole(tx.get(&keys::filling()).await?.as_deref())
}

/// Why a database that is not being filled can't be filled.
pub(crate) fn is_one_already() -> TitoError {
    TitoError::InvalidTarget { reason: "it is a database already; expected an empty place".to_string() }
}
