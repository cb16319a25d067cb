//! A state of the database that is kept.

use std::fmt;

use futures::{Stream, StreamExt, TryStreamExt, stream};

use super::handle::Database;
use super::walk::PageSize;
use crate::engine::{Direction, KeyValue, PackedRows, TitoSnapshot};
use crate::error::Result;
use crate::keys::KeyRange;
use crate::timestamp::Timestamp;

/// How many bytes of keys and values a stream reads at once.
const STREAMED_BYTES: usize = 1 << 20;

/// How many entries a stream reads at once.
const STREAMED_ENTRIES: usize = 4_096;

/// The state of a database at one timestamp, kept for as long as this is held: see [`Database::snapshot`].
pub struct DatabaseSnapshot(Box<dyn TitoSnapshot>);

impl Database {
    /// The state of the database now, to be read for as long as the snapshot is held. It is not a transaction:
    /// [`max_transaction_age_millis`](Database::max_transaction_age_millis) does not end it, and nobody who waits for
    /// transactions to end (a resize, a worker) waits for it.
    ///
    /// The cost is that everything it sees is kept. On the embedded engine that is up to four memtables in memory
    /// (`memtable_bytes` each) and, in the database file, the space of everything overwritten or deleted meanwhile: the
    /// file grows about as if nothing were freed, until the snapshot is dropped and the space is reused. On TiKV a safe
    /// point in PD, renewed while the snapshot is held, keeps the garbage of the whole cluster from the snapshot on; if
    /// the process is killed, the safe point lasts five more minutes.
    ///
    /// ```
    /// use futures::TryStreamExt;
    /// use tito_core::keys::KeyRange;
    /// use tito_core::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), TitoError> {
    /// # let db = EmbeddedBackend::in_memory().await?;
    /// db.transaction(|tx| async move { tx.put(b"seen/1".to_vec(), b"yes".to_vec()).await }).await?;
    /// let snapshot = db.snapshot().await?;
    /// db.transaction(|tx| async move { tx.delete(b"seen/1".to_vec()).await }).await?;
    ///
    /// let seen: Vec<_> = snapshot.stream(KeyRange::prefix("seen/")).try_collect().await?;
    /// assert_eq!(seen, [(b"seen/1".to_vec(), b"yes".to_vec())]);
    /// snapshot.release().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`begin`](Database::begin).
    pub async fn snapshot(&self) -> Result<DatabaseSnapshot> {
        self.engine().snapshot().await.map(DatabaseSnapshot)
    }
}

impl DatabaseSnapshot {
    /// The point in history. It sees exactly the commits with timestamps below it.
    pub fn timestamp(&self) -> Timestamp {
        self.0.timestamp()
    }

    /// The value of a key.
    ///
    /// # Errors
    /// Those of the engine, and [`TitoError::SnapshotLost`](crate::TitoError::SnapshotLost).
    pub async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.batch_get(vec![key.to_vec()]).await?.pop().flatten())
    }

    /// The values of some keys, in their order.
    ///
    /// # Errors
    /// Those of [`get`](DatabaseSnapshot::get).
    pub async fn batch_get(&self, keys: Vec<Vec<u8>>) -> Result<Vec<Option<Vec<u8>>>> {
        if keys.is_empty() { Ok(Vec::new()) } else { self.0.batch_get(keys).await }
    }

    /// The first `limit` entries of a range, by their keys.
    ///
    /// # Errors
    /// Those of [`get`](DatabaseSnapshot::get).
    pub async fn scan(&self, range: KeyRange, limit: usize) -> Result<Vec<KeyValue>> {
        self.page(range, Direction::Ascending, PageSize::entries(limit), limit).await
    }

    /// The last `limit` entries of a range, from the last key back.
    ///
    /// # Errors
    /// Those of [`get`](DatabaseSnapshot::get).
    pub async fn scan_reverse(&self, range: KeyRange, limit: usize) -> Result<Vec<KeyValue>> {
        self.page(range, Direction::Descending, PageSize::entries(limit), limit).await
    }

    /// The first entries of a range in a direction, as many as fit the page, and at least one if there is one. An empty
    /// page means the end of the range; a page may be short before that.
    ///
    /// # Errors
    /// Those of [`get`](DatabaseSnapshot::get).
    pub async fn next_page(&self, range: KeyRange, direction: Direction, size: PageSize) -> Result<Vec<KeyValue>> {
        self.page(range, direction, size, usize::MAX).await
    }

    async fn page(&self, range: KeyRange, direction: Direction, size: PageSize, limit: usize) -> Result<Vec<KeyValue>> {
        if range.is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        self.0.scan(range, direction, size.most_entries(), size.most_bytes()).await
    }

    /// The first entries of a range by their keys, as [`next_page`](DatabaseSnapshot::next_page) reads them, in one
    /// buffer: for those who read everything there is. On the embedded engine each row is copied once.
    ///
    /// # Errors
    /// Those of [`get`](DatabaseSnapshot::get).
    pub async fn next_packed(&self, range: KeyRange, size: PageSize) -> Result<PackedRows> {
        if range.is_empty() {
            return Ok(PackedRows::default());
        }
        self.0.scan_packed(range, size.most_entries(), size.most_bytes()).await
    }

    /// The entries of a range by their keys, read in pages of about a mebibyte.
    ///
    /// # Errors
    /// Those of [`get`](DatabaseSnapshot::get); the stream ends with the first.
    pub fn stream(&self, range: KeyRange) -> impl Stream<Item = Result<KeyValue>> + Send + Unpin + '_ {
        self.stream_in(range, Direction::Ascending)
    }

    /// The entries of a range from the last key back, read in pages of the same size.
    ///
    /// # Errors
    /// Those of [`stream`](DatabaseSnapshot::stream).
    pub fn stream_reverse(&self, range: KeyRange) -> impl Stream<Item = Result<KeyValue>> + Send + Unpin + '_ {
        self.stream_in(range, Direction::Descending)
    }

    fn stream_in(
        &self,
        range: KeyRange,
        direction: Direction,
    ) -> impl Stream<Item = Result<KeyValue>> + Send + Unpin + '_ {
        let size = PageSize::entries(STREAMED_ENTRIES).and_bytes(STREAMED_BYTES);
        let pages = stream::try_unfold(range, move |rest| async move {
            let page = self.next_page(rest.clone(), direction, size).await?;
            let rest = match (page.last(), direction) {
                (None, _) => return Ok(None),
                (Some((last, _)), Direction::Ascending) => rest.after(last),
                (Some((last, _)), Direction::Descending) => rest.before(last),
            };
            Ok(Some((stream::iter(page.into_iter().map(Ok)), rest)))
        });
        pages.try_flatten().boxed()
    }

    /// Releases the state, as dropping does, and says whether everything that was read can be relied on.
    ///
    /// # Errors
    /// [`TitoError::SnapshotLost`](crate::TitoError::SnapshotLost) if the cluster may have collected some of it as garbage
    /// while it was read; on TiKV also [`TitoError::Unavailable`](crate::TitoError::Unavailable) where PD could not be
    /// asked about that.
    pub async fn release(self) -> Result<()> {
        self.0.release().await
    }
}

impl fmt::Debug for DatabaseSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseSnapshot").field("timestamp", &self.timestamp()).finish_non_exhaustive()
    }
}
