//! A transaction: its own writes before the commit, over reads of the engine's snapshot.
//!
//! | file | idea |
//! |---|---|
//! | `reads` | reads, with the transaction's own writes over them |
//! | `writes` | writes and locks |
//! | `nested` | changes that are merged in one step |
//! | `lent` | handles that end before the transaction does |

mod lent;
mod nested;
mod reads;
mod writes;

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use metrics::Counter;
use serde::Serialize;

use self::lent::Seal;
use self::nested::Nested;
use super::handle::Database;
use super::idempotency::Marker;
use super::namespace::Namespace;
use super::turns::PlaceInLine;
use super::write_buffer::WriteBuffer;
use crate::engine::{PublishedEvent, Signal, Signals, TallyChange, TitoTransaction};
use crate::error::{KeyText, Result, TitoError};
use crate::row;
use crate::timestamp::{Now, Timestamp};

pub use self::lent::Lent;

/// A transaction. Clones are handles to the same transaction; when the last one is dropped without a commit, it is
/// rolled back.
///
/// After [`commit`](Transaction::commit) or [`rollback`](Transaction::rollback) every call fails with
/// [`TitoError::TransactionEnded`]. Any call can fail with [`TitoError::Storage`] or [`TitoError::EngineClosed`], and
/// with [`TitoError::TransactionTooOld`] once the engine no longer keeps the transaction's snapshot.
#[derive(Clone)]
pub struct Transaction {
    inner: Arc<Inner>,
    namespace: Option<Arc<Namespace>>,
    /// For a lent handle, until when it may be used.
    seal: Option<Arc<Seal>>,
    nested: Option<Arc<Nested>>,
    /// See [`checking_inserts`](Transaction::checking_inserts).
    checks_inserts: bool,
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

    /// Keeps a result with the transaction's idempotency key, as JSON, for the error of a repeated call: see
    /// [`TitoError::first_result`]. A second call replaces the first.
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
    /// [`TitoError::NoIdempotencyKey`] if the transaction has none; [`TitoError::Unserializable`] for what JSON can't hold,
    /// and for an integer of more than 64 bits, as its reader is not known; [`TitoError::LimitExceeded`], and those that [`Transaction`] names.
    pub async fn keep_result(&self, result: &impl Serialize) -> Result<()> {
        let marker = self.inner.marker.get().ok_or(TitoError::NoIdempotencyKey)?;
        let result = row::raw_for_any_reader("the result of a transaction", result)?;
        let outside = Self { namespace: None, ..self.clone() };
        marker.put(&outside, Some(result)).await
    }

    /// The engine's time when the transaction began, which decides what is due.
    pub fn now(&self) -> Now {
        self.inner.engine.now()
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
    /// its closure turned the error into another. Engines that find conflicts only at the commit never report one.
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

    /// Signals the listeners of a channel in this process once the transaction is committed.
    pub fn signal(&self, signal: Signal) {
        self.with_signals(|signals| signals.add(signal));
    }

    /// Changes the tally of something once the transaction is committed.
    pub(in crate::database) fn tally(&self, of: Box<[u8]>, changes: [Option<TallyChange>; 2]) {
        self.with_signals(|signals| match changes {
            [Some(first), Some(second)] => {
                signals.tally(of.clone(), first);
                signals.tally(of, second);
            }
            [one, other] => {
                if let Some(change) = one.or(other) {
                    signals.tally(of, change);
                }
            }
        });
    }

    /// Tells those of this process who watch what is published, once the transaction is committed.
    pub(crate) fn tell_published(&self, event: PublishedEvent) {
        self.with_signals(|signals| signals.publish(event));
    }

    /// Increments a counter once the transaction is committed. `name` tells counters apart.
    pub fn count(&self, name: &Arc<str>, counter: impl FnOnce() -> Counter) {
        self.with_signals(|signals| signals.count(name, counter));
    }

    /// The same transaction, with an [`insert`](Transaction::insert) that reads first: see
    /// [`TxOptions::check_inserts`](crate::TxOptions::check_inserts).
    #[must_use]
    pub fn checking_inserts(&self) -> Self {
        Self { checks_inserts: true, ..self.clone() }
    }

    /// The same transaction, with its rows in a namespace.
    #[must_use]
    pub fn in_namespace(&self, namespace: Arc<Namespace>) -> Self {
        Self { namespace: Some(namespace), ..self.clone() }
    }

    /// Whether its rows are in a namespace.
    pub(crate) fn is_in_namespace(&self) -> bool {
        self.namespace.is_some()
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

    /// An answer of the engine before the commit. A conflict ends the transaction, and an answer after its end does not
    /// count.
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

    /// A result whose error has keys as they are known in the namespace.
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

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("start", &self.inner.start).finish_non_exhaustive()
    }
}
