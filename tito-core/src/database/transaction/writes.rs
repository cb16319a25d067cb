//! Writes and locks of a transaction.

use super::{Open, Transaction};
use crate::database::namespace::Namespace;
use crate::engine::Claim;
use crate::error::{Result, TitoError};
use crate::keys;

impl Transaction {
    /// Writes a key of the application's own, whether it exists or not. Reads nothing.
    ///
    /// Keys that begin like Tito's own, such as `topic:` or `data:`, are reserved ([`keys::reserved_prefix`] says
    /// which): they can be read and locked like others, but not written. See [`system_keys`](Transaction::system_keys).
    ///
    /// # Errors
    /// [`TitoError::ReservedKey`], [`TitoError::LimitExceeded`], and those that [`Transaction`] names.
    pub async fn put(&self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        self.check_own(&key)?;
        self.put_any(key, value).await
    }

    pub(in crate::database) async fn put_any(&self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        let Some(key) = self.written_key(key, value.len())? else { return Ok(()) };
        self.write(key, Some(value), Claim::Put).await
    }

    /// Writes a key of the application's own that must not exist. If it does, this call or the commit fails.
    ///
    /// # Errors
    /// [`TitoError::AlreadyExists`], and those of [`put`](Transaction::put).
    pub async fn insert(&self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        self.check_own(&key)?;
        self.insert_any(key, value).await
    }

    pub(in crate::database) async fn insert_any(&self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        let is_row = Namespace::has(&key);
        let Some(key) = self.written_key(key, value.len())? else { return Ok(()) };
        let purpose = match &self.namespace {
            // An engine may find out at the commit only, when it can't be told any more which of many writes was at fault.
            // Whoever else writes here meets a conflict anyway, so looking is as good.
            Some(namespace) if is_row => match self.own(self.get_stored(&key).await)? {
                Some(_) => return Err(TitoError::AlreadyExists { key: namespace.own(key).into() }),
                None => Claim::Put,
            },
            _ if self.checks_inserts => match self.own(self.get_stored(&key).await)? {
                Some(_) => return self.own(Err(TitoError::AlreadyExists { key: key.into() })),
                None => Claim::Insert,
            },
            _ => Claim::Insert,
        };
        self.write(key, Some(value), purpose).await
    }

    /// Deletes a key of the application's own, whether it exists or not. Reads nothing.
    ///
    /// # Errors
    /// Those of [`put`](Transaction::put).
    pub async fn delete(&self, key: Vec<u8>) -> Result<()> {
        self.check_own(&key)?;
        self.delete_any(key).await
    }

    pub(in crate::database) async fn delete_any(&self, key: Vec<u8>) -> Result<()> {
        let Some(key) = self.written_key(key, 0)? else { return Ok(()) };
        self.write(key, None, Claim::Delete).await
    }

    /// Makes reads of these keys count as writes: of two transactions that lock or write one key, one fails with a
    /// conflict. This rules out write skew, where two transactions each read what the other writes. Nothing is written,
    /// so Tito's own keys can be locked too, such as that of a [`row`](keys::row).
    ///
    /// # Errors
    /// [`TitoError::LimitExceeded`], and those that [`Transaction`] names.
    pub async fn lock_keys(&self, mut keys: Vec<Vec<u8>>) -> Result<()> {
        if let Some(namespace) = &self.namespace {
            keys = keys.into_iter().filter_map(|key| namespace.locked(key)).collect();
        }
        let limits = self.inner.database.limits();
        self.claim(&keys, Claim::Lock, |open| open.buffer.check_locks(&keys, limits)).await?;
        self.own(self.with_open(|open| open.buffer.lock(keys, limits)))
    }

    /// Fails if the application may not write this key.
    fn check_own(&self, key: &[u8]) -> Result<()> {
        // Rows of a namespace are whose it is, by whatever means.
        if self.namespace.is_some() && Namespace::has(key) {
            return Ok(());
        }
        match keys::reserved_prefix(key) {
            Some(prefix) => Err(TitoError::ReservedKey { key: key.into(), prefix }),
            None => Ok(()),
        }
    }

    /// The key that a write goes to, unless it is to be dropped.
    fn written_key(&self, key: Vec<u8>, value_bytes: usize) -> Result<Option<Vec<u8>>> {
        match &self.namespace {
            Some(namespace) => namespace.written_key(key, value_bytes),
            None => Ok(Some(key)),
        }
    }

    async fn write(&self, key: Vec<u8>, value: Option<Vec<u8>>, purpose: Claim) -> Result<()> {
        let limits = self.inner.database.limits();
        let size = value.as_ref().map_or(0, Vec::len);
        let check = |open: &mut Open| open.buffer.check_write(&key, size, purpose == Claim::Insert, limits);
        self.claim(std::slice::from_ref(&key), purpose, check).await?;
        self.own(self.with_open(|open| match (purpose, value) {
            (Claim::Insert, Some(value)) => open.buffer.insert(key, value, limits),
            (_, value) => open.buffer.write(key, value, limits),
        }))
    }

    /// Waits for keys if the engine wants that. The write is checked before anything is sent, and once more by the
    /// caller when it is made: other calls may have written meanwhile.
    async fn claim(&self, keys: &[Vec<u8>], purpose: Claim, check: impl FnOnce(&mut Open) -> Result<()>) -> Result<()> {
        match self.inner.engine.claim(keys, purpose) {
            Some(claimed) => {
                self.own(self.with_open(check))?;
                self.own(self.answered(claimed.await))
            }
            None => Ok(()),
        }
    }
}
