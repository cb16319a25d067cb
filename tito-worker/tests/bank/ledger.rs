//! What the engine said of each transfer.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tito_core::TitoError;

use crate::bank::Transfer;

/// What the engine said of a transfer's commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    Done,
    NotDone,
    Unknown,
}

impl Said {
    pub fn of<T>(result: &Result<T, TitoError>) -> Self {
        match result {
            Ok(_) => Self::Done,
            // The ids are new, so there is no other record that it could be about.
            Err(TitoError::AlreadyExists { key }) => panic!("a transfer that was not done left {key}"),
            Err(TitoError::CommitUnknown { .. }) => Self::Unknown,
            Err(_) => Self::NotDone,
        }
    }
}

/// All transfers with what was said of them.
#[derive(Default)]
pub struct Ledger {
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    said: BTreeMap<String, (Transfer, Said)>,
    /// The transfer that was done last, for snapshots that begin after it.
    last_done: Option<String>,
    /// How often there was each kind of error.
    errors: BTreeMap<String, u64>,
}

impl Ledger {
    pub fn note(&self, transfer: &Transfer, said: Said) {
        let mut entries = self.lock();
        let earlier = entries.said.insert(transfer.id.clone(), (transfer.clone(), said));
        assert_eq!(earlier, None, "ids are unique");
        if said == Said::Done {
            entries.last_done = Some(transfer.id.clone());
        }
    }

    /// Counts an error, by its kind.
    pub fn note_error(&self, error: &TitoError) {
        let text = format!("{error:?}");
        let kind = text.split(|character: char| !character.is_alphanumeric()).next().unwrap_or_default();
        *self.lock().errors.entry(kind.to_string()).or_default() += 1;
    }

    pub fn last_done(&self) -> Option<String> {
        self.lock().last_done.clone()
    }

    pub fn errors(&self) -> BTreeMap<String, u64> {
        self.lock().errors.clone()
    }

    pub fn said(&self) -> BTreeMap<String, (Transfer, Said)> {
        self.lock().said.clone()
    }

    pub fn count(&self, said: Said) -> usize {
        self.lock().said.values().filter(|(_, entry)| *entry == said).count()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
