//! A transaction that sees a projection's rows.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tito_core::engine::{KeyValue, Outbox};
use tito_core::keys::KeyRange;
use tito_core::{KeyText, Result, Timestamp, TitoError, TitoTransaction};

use super::space::Space;

/// A transaction whose rows and index entries are those of a projection. Everything else in it is as in the transaction
/// of the database that it stands for. [`View`](crate::View) makes it.
///
/// Rows are written by the [`Projector`](crate::Projector) alone: anybody else's writes of them are refused. A projector
/// can't commit.
#[derive(Clone)]
pub struct ViewTransaction<T> {
    inner: T,
    shared: Arc<Shared>,
}

struct Shared {
    space: Space,
    access: Access,
    /// What was written by a projector: keys, and bytes of keys and values.
    keys: AtomicUsize,
    bytes: AtomicUsize,
    /// What a rebuild would publish is announced here, which nobody reads.
    unpublished: Outbox,
}

/// Who uses a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// A reader.
    Read,
    /// The projector, for the generation that serves.
    Fold,
    /// The projector, for one that is to serve: it writes rows and nothing else.
    Rebuild,
}

impl<T: TitoTransaction> ViewTransaction<T> {
    pub(super) fn new(inner: T, space: Space, access: Access) -> Self {
        let (keys, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { inner, shared: Arc::new(Shared { space, access, keys, bytes, unpublished: Outbox::default() }) }
    }

    pub(super) fn inner(&self) -> &T {
        &self.inner
    }

    /// How many keys and bytes the projector has written.
    pub(super) fn written(&self) -> (usize, usize) {
        (self.shared.keys.load(Ordering::Relaxed), self.shared.bytes.load(Ordering::Relaxed))
    }

    fn space(&self) -> &Space {
        &self.shared.space
    }

    fn own<R>(&self, result: Result<R>) -> Result<R> {
        result.map_err(|error| self.space().own_error(error))
    }

    fn own_page(&self, page: Result<Vec<KeyValue>>) -> Result<Vec<KeyValue>> {
        let page = self.own(page)?;
        Ok(page.into_iter().map(|(key, value)| (self.space().own(key), value)).collect())
    }

    /// Where a write goes, if it is to be made.
    fn written_key(&self, key: Vec<u8>, value_bytes: usize) -> Result<Option<Vec<u8>>> {
        let is_row = Space::has(&key);
        match self.shared.access {
            Access::Read if is_row => {
                let key = KeyText::from(key);
                return Err(TitoError::application(format!("{key} is a projection's: its projector alone writes it")));
            }
            Access::Rebuild if !is_row => return Ok(None),
            _ => {}
        }
        let stored = self.space().stored(key).into_owned();
        self.shared.keys.fetch_add(1, Ordering::Relaxed);
        self.shared.bytes.fetch_add(stored.len() + value_bytes, Ordering::Relaxed);
        Ok(Some(stored))
    }
}

impl<T: TitoTransaction> TitoTransaction for ViewTransaction<T> {
    fn start_timestamp(&self) -> Timestamp {
        self.inner.start_timestamp()
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.own(self.inner.get(&self.space().stored(key)).await)
    }

    async fn batch_get(&self, keys: Vec<Vec<u8>>) -> Result<Vec<Option<Vec<u8>>>> {
        let stored = keys.into_iter().map(|key| self.space().stored(key).into_owned()).collect();
        self.own(self.inner.batch_get(stored).await)
    }

    async fn scan(&self, range: KeyRange, limit: usize) -> Result<Vec<KeyValue>> {
        self.own_page(self.inner.scan(self.space().stored_range(range)?, limit).await)
    }

    async fn scan_reverse(&self, range: KeyRange, limit: usize) -> Result<Vec<KeyValue>> {
        self.own_page(self.inner.scan_reverse(self.space().stored_range(range)?, limit).await)
    }

    async fn put(&self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        match self.written_key(key, value.len())? {
            Some(stored) => self.own(self.inner.put(stored, value).await),
            None => Ok(()),
        }
    }

    async fn insert(&self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        let is_row = Space::has(&key);
        let Some(stored) = self.written_key(key, value.len())? else { return Ok(()) };
        if !is_row {
            return self.own(self.inner.insert(stored, value).await);
        }
        // An engine may find out at the commit only, when it can't be told any more which of many events was at fault.
        // Nobody else writes here without a conflict over the checkpoint, so looking is as good.
        if self.own(self.inner.get(&stored).await)?.is_some() {
            return Err(TitoError::AlreadyExists { key: KeyText::from(self.space().own(stored)) });
        }
        self.own(self.inner.put(stored, value).await)
    }

    async fn delete(&self, key: Vec<u8>) -> Result<()> {
        match self.written_key(key, 0)? {
            Some(stored) => self.own(self.inner.delete(stored).await),
            None => Ok(()),
        }
    }

    async fn lock_keys(&self, keys: Vec<Vec<u8>>) -> Result<()> {
        let is_kept = |key: &Vec<u8>| self.shared.access != Access::Rebuild || Space::has(key);
        let keys = keys.into_iter().filter(is_kept).map(|key| self.space().stored(key).into_owned()).collect();
        self.own(self.inner.lock_keys(keys).await)
    }

    fn met_conflict(&self) -> Option<TitoError> {
        self.inner.met_conflict().map(|error| self.space().own_error(error))
    }

    fn outbox(&self) -> &Outbox {
        match self.shared.access {
            Access::Rebuild => &self.shared.unpublished,
            Access::Read | Access::Fold => self.inner.outbox(),
        }
    }

    async fn commit(&self) -> Result<Timestamp> {
        match self.shared.access {
            Access::Read => self.own(self.inner.commit().await),
            Access::Fold | Access::Rebuild => {
                Err(TitoError::application("a projector does not commit: its rows are committed with the checkpoint"))
            }
        }
    }

    async fn rollback(&self) {
        self.inner.rollback().await;
    }
}

impl<T> fmt::Debug for ViewTransaction<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewTransaction")
            .field("space", &self.shared.space)
            .field("access", &self.shared.access)
            .finish_non_exhaustive()
    }
}
