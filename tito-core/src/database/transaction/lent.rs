//! Handles that are lent to somebody else's code, and end before the transaction does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Transaction;
use crate::error::{Result, TitoError};

/// Ends the use of a lent handle, and of those lent by it.
pub(super) struct Seal {
    is_sealed: AtomicBool,
    parent: Option<Arc<Seal>>,
}

impl Seal {
    fn is_sealed(&self) -> bool {
        self.is_sealed.load(Ordering::Acquire) || self.parent.as_ref().is_some_and(|parent| parent.is_sealed())
    }
}

/// A loan of a [`Transaction`] to other code. Once it is dropped, calls on the handles it gave out fail with
/// [`TitoError::TransactionEnded`]. The transaction itself stays open.
#[must_use = "the handles of a loan end with it"]
pub struct Lent(Transaction);

impl Lent {
    /// A handle, for as long as the loan lasts.
    pub fn handle(&self) -> Transaction {
        self.0.clone()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(seal) = &self.0.seal {
            seal.is_sealed.store(true, Ordering::Release);
        }
    }
}

impl Transaction {
    /// Lends the transaction to other code, which may keep a handle for longer than it should.
    pub fn lend(&self) -> Lent {
        let seal = Seal { is_sealed: AtomicBool::new(false), parent: self.seal.clone() };
        Lent(Self { seal: Some(Arc::new(seal)), ..self.clone() })
    }

    pub(super) fn check_seal(&self) -> Result<()> {
        match &self.seal {
            Some(seal) if seal.is_sealed() => Err(TitoError::TransactionEnded),
            _ => Ok(()),
        }
    }
}
