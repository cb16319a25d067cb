//! A transaction within a transaction: changes that are merged in one step, or not at all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Open, Transaction};
use crate::error::{Result, TitoError};

/// The changes of a nested transaction. Dropped before they are merged, they are gone.
pub(super) struct Nested {
    pub(super) parent: Option<Arc<Nested>>,
    /// `None` once it was merged.
    open: Mutex<Option<Open>>,
}

impl Nested {
    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transaction {
    /// A transaction within this one, for changes that belong together: it reads what this one reads, and its changes
    /// wait until it is [merged](Transaction::merge). If it is dropped first, because of an error or a cancelled
    /// caller, it has changed nothing.
    #[must_use]
    pub fn nested(&self) -> Self {
        let nested = Nested { parent: self.nested.clone(), open: Mutex::new(Some(Open::default())) };
        Self { nested: Some(Arc::new(nested)), ..self.clone() }
    }

    /// Merges the changes of a nested transaction into the one around it: all of them or, on an error, none. The nested
    /// one has ended then. Does nothing if the transaction is not nested.
    ///
    /// # Errors
    /// [`TitoError::AlreadyExists`], [`TitoError::LimitExceeded`], and those that [`Transaction`] names.
    pub fn merge(&self) -> Result<()> {
        let Some(nested) = &self.nested else { return Ok(()) };
        let Open { buffer, signals } = nested.lock().take().ok_or(TitoError::TransactionEnded)?;
        let around = Self { nested: nested.parent.clone(), ..self.clone() };
        let limits = self.inner.database.limits();
        self.own(around.with_open(|open| {
            open.buffer.merge(buffer, limits)?;
            open.signals.append(signals);
            Ok(())
        }))
    }
}
