//! Reads of a transaction, with its own writes over them.

use std::sync::Arc;

use super::Transaction;
use crate::database::overlay;
use crate::database::write_buffer::Writes;
use crate::engine::{Direction, KeyValue, SnapshotVersion};
use crate::error::{Result, TitoError};
use crate::keys::KeyRange;

impl Transaction {
    /// The value of a key.
    ///
    /// # Errors
    /// See [`Transaction`].
    pub async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(namespace) = &self.namespace else { return self.get_stored(key).await };
        self.own(self.get_stored(&namespace.stored(key)).await)
    }

    pub(super) async fn get_stored(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.written(key)? {
            Some(own) => Ok(own),
            None => self.answered(self.inner.engine.get(key).await),
        }
    }

    /// The values of many keys, in their order.
    ///
    /// # Errors
    /// See [`Transaction`].
    pub async fn batch_get(&self, mut keys: Vec<Vec<u8>>) -> Result<Vec<Option<Vec<u8>>>> {
        if let Some(namespace) = &self.namespace {
            keys = keys.into_iter().map(|key| namespace.stored(key).into_owned()).collect();
        }
        let own = self.own_values(&keys)?;
        self.own(self.answered(overlay::batch_get(&*self.inner.engine, own, keys).await))
    }

    /// How much history the transaction sees, for [`is_unchanged`](Transaction::is_unchanged) of later ones; `None` on an
    /// engine that can't tell, and of a transaction that has ended.
    pub fn version(&self) -> Option<SnapshotVersion> {
        self.inner.engine.version()
    }

    /// Whether it is known without a read that a key has the value that another transaction of the database, of that
    /// [`version`](Transaction::version), has read. `false` says nothing: read it. What the transaction has written
    /// itself is never known to be unchanged.
    pub fn is_unchanged(&self, key: &[u8], since: SnapshotVersion) -> bool {
        let stored = self.namespace.as_ref().map(|namespace| namespace.stored(key));
        let key = stored.as_deref().unwrap_or(key);
        matches!(self.written(key), Ok(None)) && self.inner.engine.is_unchanged(key, since)
    }

    /// The first `limit` keys of a range, ascending.
    ///
    /// # Errors
    /// See [`Transaction`].
    pub async fn scan(&self, range: KeyRange, limit: usize) -> Result<Vec<KeyValue>> {
        self.scan_in(range, Direction::Ascending, limit).await
    }

    /// The last `limit` keys of a range, descending.
    ///
    /// # Errors
    /// See [`Transaction`].
    pub async fn scan_reverse(&self, range: KeyRange, limit: usize) -> Result<Vec<KeyValue>> {
        self.scan_in(range, Direction::Descending, limit).await
    }

    async fn scan_in(&self, mut range: KeyRange, direction: Direction, limit: usize) -> Result<Vec<KeyValue>> {
        if let Some(namespace) = &self.namespace {
            range = namespace.stored_range(range)?;
        }
        let writes = self.writes()?;
        let page = overlay::scan(&*self.inner.engine, &writes, range, direction, limit).await;
        let page = self.own(self.answered(page))?;
        match &self.namespace {
            Some(namespace) => Ok(page.into_iter().map(|(key, value)| (namespace.own(key), value)).collect()),
            None => Ok(page),
        }
    }

    /// The own value of a key: `Some(None)` if it was deleted.
    fn written(&self, key: &[u8]) -> Result<Option<Option<Vec<u8>>>> {
        let mut around = self.nested.as_ref();
        while let Some(nested) = around {
            let own = nested.lock().as_ref().ok_or(TitoError::TransactionEnded)?.buffer.get(key);
            if own.is_some() {
                return Ok(own);
            }
            around = nested.parent.as_ref();
        }
        let state = self.lock();
        self.check_seal()?;
        Ok(state.open.as_ref().ok_or(TitoError::TransactionEnded)?.buffer.get(key))
    }

    /// What [`written`](Transaction::written) says of many keys; nothing where nothing was written.
    fn own_values(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Option<Vec<u8>>>>> {
        if self.nested.is_some() {
            return keys.iter().map(|key| self.written(key)).collect();
        }
        self.with_open(|open| {
            if open.buffer.writes().is_empty() {
                Ok(Vec::new())
            } else {
                Ok(keys.iter().map(|key| open.buffer.get(key)).collect())
            }
        })
    }

    /// All own writes. Within a nested transaction that has written something that costs a copy of them.
    fn writes(&self) -> Result<Arc<Writes>> {
        let own = self.with_open(|open| Ok(open.buffer.writes()))?;
        let Some(nested) = &self.nested else { return Ok(own) };
        let mut all = Self { nested: nested.parent.clone(), ..self.clone() }.writes()?;
        if !own.is_empty() {
            Arc::make_mut(&mut all).extend(own.iter().map(|(key, mutation)| (key.clone(), mutation.clone())));
        }
        Ok(all)
    }
}
