//! How large keys, values and transactions may be.

use crate::error::{KeyText, Result, TitoError};

/// The largest key, value and transaction that an engine takes, checked before anything is sent.
///
/// The defaults fit every engine, so that a program which runs on one runs on the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a key. Default 4 KiB.
    pub key_bytes: usize,
    /// Bytes of a value. Default 1 MiB.
    pub value_bytes: usize,
    /// Keys that one transaction writes or locks. Default 10,000.
    pub transaction_keys: usize,
    /// Bytes of the keys and values that one transaction writes. Default 32 MiB.
    pub transaction_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { key_bytes: 4 << 10, value_bytes: 1 << 20, transaction_keys: 10_000, transaction_bytes: 32 << 20 }
    }
}

impl Limits {
    /// Checks one key and the value written to it.
    ///
    /// # Errors
    /// [`TitoError::LimitExceeded`].
    pub fn check_entry(&self, key: &[u8], value_bytes: usize) -> Result<()> {
        check("a key in bytes", key.len(), self.key_bytes, key)?;
        check("a value in bytes", value_bytes, self.value_bytes, key)
    }

    /// Checks the size of a transaction after the write to `key`.
    ///
    /// # Errors
    /// [`TitoError::LimitExceeded`].
    pub fn check_transaction(&self, keys: usize, bytes: usize, key: &[u8]) -> Result<()> {
        check("a transaction in keys", keys, self.transaction_keys, key)?;
        check("a transaction in bytes", bytes, self.transaction_bytes, key)
    }
}

fn check(what: &'static str, size: usize, limit: usize, key: &[u8]) -> Result<()> {
    if size <= limit {
        return Ok(());
    }
    Err(TitoError::LimitExceeded { what, size, limit, key: KeyText::from(key) })
}
