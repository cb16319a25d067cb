//! A transaction: its own writes before the commit, over reads of the engine's snapshot.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use metrics::Counter;
use serde::Serialize;

use super::handle::Database;
use super::idempotency::Marker;
use super::namespace::Namespace;
use super::overlay;
use super::turns::PlaceInLine;
use super::write_buffer::{WriteBuffer, Writes};
use crate::engine::{Claim, Direction, KeyValue, PublishedEvent, Signal, Signals, TitoTransaction};
use crate::error::{KeyText, Result, TitoError};
use crate::keys::{self, KeyRange};
use crate::row;
use crate::timestamp::{Now, Timestamp};

/// One transaction. Clones are handles of the same transaction; when the last one is dropped without a commit, it is
/// rolled back.
///
/// After [`commit`](Transaction::commit) or [`rollback`](Transaction::rollback) every call fails with
/// [`TitoError::TransactionEnded`]. Any call can fail with [`TitoError::Storage`] or [`TitoError::EngineClosed`], and
/// with [`TitoError::TransactionTooOld`] once the engine no longer keeps the transaction's snapshot.
#[derive(Clone)]
pub struct Transaction {
    inner: Arc<Inner>,
    namespace: Option<Arc<Namespace>>,
    /// Of a handle that was lent, until when it may be used.
    seal: Option<Arc<Seal>>,
    nested: Option<Arc<Nested>>,
    /// See [`checking_inserts`](Transaction::checking_inserts).
    checks_inserts: bool,
}

/// What a nested transaction has come to. Dropped before it is merged, it has changed nothing.
struct Nested {
    parent: Option<Arc<Nested>>,
    /// `None` once it was merged.
    open: Mutex<Option<Open>>,
}

/// Ends the use of a lent handle, and of those lent by it.
struct Seal {
    is_sealed: AtomicBool,
    parent: Option<Arc<Seal>>,
}

impl Seal {
    fn is_sealed(&self) -> bool {
        self.is_sealed.load(Ordering::Acquire) || self.parent.as_ref().is_some_and(|parent| parent.is_sealed())
    }
}

/// A loan of a [`Transaction`] to somebody else's code. When it is dropped, the handles that it gave out have ended: their
/// calls fail with [`TitoError::TransactionEnded`]. The transaction itself goes on.
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

struct Inner {
    database: Database,
    engine: Box<dyn TitoTransaction>,
    start: Timestamp,
    state: Mutex<State>,
    events: AtomicU32,
    /// Of its idempotency key, if it has one.
    marker: OnceLock<Marker>,
}

struct State {
    /// `None` once the transaction has ended.
    open: Option<Open>,
    /// The key of a conflict that a call has met, which ended the transaction.
    conflict: Option<KeyText>,
}

#[derive(Default)]
struct Open {
    buffer: WriteBuffer,
    signals: Signals,
}

impl Transaction {
    pub(super) fn new(database: Database, engine: Box<dyn TitoTransaction>) -> Self {
        let start = engine.start_timestamp();
        let state = Mutex::new(State { open: Some(Open::default()), conflict: None });
        let inner = Inner { database, engine, start, state, events: AtomicU32::new(0), marker: OnceLock::new() };
        Self { inner: Arc::new(inner), namespace: None, seal: None, nested: None, checks_inserts: false }
    }

    /// The database that it is a transaction of.
    pub fn database(&self) -> &Database {
        &self.inner.database
    }

    pub(super) fn of_the_engine(&self) -> &dyn TitoTransaction {
        &*self.inner.engine
    }

    /// The point in history at which the transaction reads.
    pub fn start_timestamp(&self) -> Timestamp {
        self.inner.start
    }

    pub(super) fn set_marker(&self, marker: Marker) {
        let is_first = self.inner.marker.set(marker).is_ok();
        assert!(is_first, "each attempt is a transaction of its own, with one marker");
    }

    /// Keeps a result with the transaction's idempotency key, as JSON: the error of a repeated call has it, see
    /// [`TitoError::first_result`]. A second call takes the place of the first.
    ///
    /// ```
    /// # use tito_core::TxOptions;
    /// # use tito_core::prelude::*;
    /// # async fn example(db: Database) -> Result<(), TitoError> {
    /// let options = TxOptions::default().idempotency_key("request-91ab");
    /// let paid = db.transaction_with(options, |tx| async move {
    ///     let receipt = "receipt 17".to_string();
    ///     tx.keep_result(&receipt).await?;
    ///     Ok::<_, TitoError>(receipt)
    /// });
    /// let receipt: String = match paid.await {
    ///     Err(error) => error.first_result().unwrap_or(Err(error))?,
    ///     paid => paid?,
    /// };
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TitoError::NoIdempotencyKey`] if the transaction has none; [`TitoError::Unserializable`];
    /// [`TitoError::LimitExceeded`], and those that [`Transaction`] names.
    pub async fn keep_result(&self, result: &impl Serialize) -> Result<()> {
        let marker = self.inner.marker.get().ok_or(TitoError::NoIdempotencyKey)?;
        let json = row::encode_checked("the result of a transaction", result)?;
        let result = row::check_readable("the result of a transaction", &json)?;
        let outside = Self { namespace: None, ..self.clone() };
        marker.put(&outside, Some(result)).await
    }

    /// What time it was, by the engine, when the transaction began: what is due by then is due.
    pub fn now(&self) -> Now {
        self.inner.engine.now()
    }

    /// The value of a key.
    ///
    /// # Errors
    /// See [`Transaction`].
    pub async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(namespace) = &self.namespace else { return self.get_stored(key).await };
        self.own(self.get_stored(&namespace.stored(key)).await)
    }

    async fn get_stored(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
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

    /// Writes a key of the application's own, whether it exists or not. Reads nothing.
    ///
    /// Keys that begin as Tito's do, with `topic:` or `data:`, are Tito's ([`keys::reserved_prefix`] says which): they are
    /// read and locked like others, and not written. See [`system_keys`](Transaction::system_keys).
    ///
    /// # Errors
    /// [`TitoError::ReservedKey`], [`TitoError::LimitExceeded`], and those that [`Transaction`] names.
    pub async fn put(&self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        self.check_own(&key)?;
        self.put_any(key, value).await
    }

    pub(super) async fn put_any(&self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
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

    pub(super) async fn insert_any(&self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
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

    pub(super) async fn delete_any(&self, key: Vec<u8>) -> Result<()> {
        let Some(key) = self.written_key(key, 0)? else { return Ok(()) };
        self.write(key, None, Claim::Delete).await
    }

    /// Makes what was read of these keys count as written: of two transactions that lock or write one key, one fails
    /// with a conflict. This shuts out write skew, where two transactions each read what the other writes. Nothing is
    /// written, so keys of Tito's own can be locked as well, such as that of a [`row`](keys::row).
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

    /// Whether it has written or locked a key.
    pub(super) fn has_written(&self, key: &[u8]) -> bool {
        self.with_open(|open| Ok(open.buffer.keys().any(|written| written == key))).unwrap_or(false)
    }

    /// Those of the keys that it has written or locked that are others' turn: see [`PlaceInLine::taken`].
    pub(super) fn taken_by_others(&self, place: &mut PlaceInLine<'_>, is_costly: bool) -> Vec<Vec<u8>> {
        let taken = self.with_open(|open| Ok(place.taken(open.buffer.keys(), is_costly)));
        // What has ended writes nothing any more.
        taken.unwrap_or_default()
    }

    /// Commits, and returns the commit's timestamp. The commit is durable when this returns.
    ///
    /// A future that is dropped before it completes leaves the transaction either committed as a whole or not at all.
    ///
    /// # Errors
    /// [`TitoError::Conflict`], [`TitoError::AlreadyExists`], [`TitoError::TransactionTooOld`]: nothing was committed.
    /// [`TitoError::CommitUnknown`]: it may have been.
    pub async fn commit(&self) -> Result<Timestamp> {
        if let Some(namespace) = &self.namespace {
            namespace.check_commit()?;
        }
        if self.nested.is_some() {
            return Err(TitoError::application("a nested transaction is merged into the one around it, which commits"));
        }
        self.check_seal()?;
        let Open { buffer, signals } = self.end().ok_or(TitoError::TransactionEnded)?;
        self.own(self.inner.engine.commit(buffer.into_mutations(), signals).await)
    }

    /// Ends the transaction without effect. Does nothing if it has ended.
    pub async fn rollback(&self) {
        // A commit that is under way on another handle is left to itself.
        if self.nested.is_none() && self.check_seal().is_ok() && self.end().is_some() {
            self.inner.engine.rollback().await;
        }
    }

    /// The conflict that a call of this transaction has met, if any: the transaction has ended, and is replayed even if
    /// its closure turned the error into one of its own. Engines that find conflicts at the commit only never have one.
    pub fn met_conflict(&self) -> Option<TitoError> {
        let key = self.lock().conflict.clone()?;
        let error = TitoError::Conflict { key };
        Some(match &self.namespace {
            Some(namespace) => namespace.own_error(error),
            None => error,
        })
    }

    /// The number of the transaction's next event, from 0.
    pub fn next_event_number(&self) -> u32 {
        let namespaced = self.namespace.as_ref().and_then(|namespace| namespace.event_numbers());
        namespaced.unwrap_or(&self.inner.events).fetch_add(1, Ordering::Relaxed)
    }

    /// Tells those of this process who listen to a channel, once the transaction is committed.
    pub fn signal(&self, signal: Signal) {
        self.with_signals(|signals| signals.add(signal));
    }

    /// Tells those of this process who watch what is published, once the transaction is committed.
    pub(crate) fn tell_published(&self, event: PublishedEvent) {
        self.with_signals(|signals| signals.publish(event));
    }

    /// Raises a counter by one once the transaction is committed. `name` tells counters apart.
    pub fn count(&self, name: &Arc<str>, counter: impl FnOnce() -> Counter) {
        self.with_signals(|signals| signals.count(name, counter));
    }

    /// The same transaction, in which every [`insert`](Transaction::insert) looks first: see
    /// [`TxOptions::check_inserts`](crate::TxOptions::check_inserts).
    #[must_use]
    pub fn checking_inserts(&self) -> Self {
        Self { checks_inserts: true, ..self.clone() }
    }

    /// The same transaction, with rows that lie elsewhere.
    #[must_use]
    pub fn in_namespace(&self, namespace: Arc<Namespace>) -> Self {
        Self { namespace: Some(namespace), ..self.clone() }
    }

    /// Whether its rows lie elsewhere.
    pub(crate) fn is_in_namespace(&self) -> bool {
        self.namespace.is_some()
    }

    /// A transaction within this one, for changes that belong together: it reads what this one reads, and what it changes
    /// waits until it is [merged](Transaction::merge). Dropped before, for an error or as its caller was cancelled, it has
    /// changed nothing.
    #[must_use]
    pub fn nested(&self) -> Self {
        let nested = Nested { parent: self.nested.clone(), open: Mutex::new(Some(Open::default())) };
        Self { nested: Some(Arc::new(nested)), ..self.clone() }
    }

    /// Puts what a nested transaction has changed into the one around it: all of it, or after an error nothing. The nested
    /// one has ended then. Does nothing to a transaction that is not nested.
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

    /// Lends the transaction to somebody else's code, which may keep a handle for longer than it should.
    pub fn lend(&self) -> Lent {
        let seal = Seal { is_sealed: AtomicBool::new(false), parent: self.seal.clone() };
        Lent(Self { seal: Some(Arc::new(seal)), ..self.clone() })
    }

    fn check_seal(&self) -> Result<()> {
        match &self.seal {
            Some(seal) if seal.is_sealed() => Err(TitoError::TransactionEnded),
            _ => Ok(()),
        }
    }

    fn with_open<T>(&self, f: impl FnOnce(&mut Open) -> Result<T>) -> Result<T> {
        let mut state = self.lock();
        self.check_seal()?;
        let open = state.open.as_mut().ok_or(TitoError::TransactionEnded)?;
        match &self.nested {
            Some(nested) => f(nested.lock().as_mut().ok_or(TitoError::TransactionEnded)?),
            None => f(open),
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

    fn with_signals(&self, f: impl FnOnce(&mut Signals)) {
        if self.namespace.as_ref().is_some_and(|namespace| namespace.is_silent()) {
            return;
        }
        // What has ended has nothing to tell any more.
        let _ = self.with_open(|open| {
            f(&mut open.signals);
            Ok(())
        });
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

    /// Whether a key is one that the application may write as it likes.
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

    /// Where a write goes, if it is to be made.
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

    /// Waits for keys where the engine wants that. What is to be done with them is checked before anything is sent, and by
    /// the caller when it is done: others may have written meanwhile.
    async fn claim(&self, keys: &[Vec<u8>], purpose: Claim, check: impl FnOnce(&mut Open) -> Result<()>) -> Result<()> {
        match self.inner.engine.claim(keys, purpose) {
            Some(claimed) => {
                self.own(self.with_open(check))?;
                self.own(self.answered(claimed.await))
            }
            None => Ok(()),
        }
    }

    /// An answer of the engine before the commit. A conflict ends the transaction, and what comes after its end is none.
    fn answered<T>(&self, answer: Result<T>) -> Result<T> {
        let mut state = self.lock();
        match answer {
            Err(TitoError::Conflict { key }) => {
                state.open = None;
                state.conflict.get_or_insert(key.clone());
                Err(TitoError::Conflict { key })
            }
            _ if state.open.is_none() => Err(TitoError::TransactionEnded),
            answer => answer,
        }
    }

    /// A result that tells keys as they are known in the namespace.
    fn own<T>(&self, result: Result<T>) -> Result<T> {
        match &self.namespace {
            Some(namespace) => result.map_err(|error| namespace.own_error(error)),
            None => result,
        }
    }

    fn end(&self) -> Option<Open> {
        self.lock().open.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock calls code that could panic half-way through a change.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Nested {
    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("start", &self.inner.start).finish_non_exhaustive()
    }
}
