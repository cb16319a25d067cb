//! The one error type of `tito-core`.

mod key_text;
mod predicates;
mod shared;

use std::path::PathBuf;

use serde::de::DeserializeOwned;

use self::key_text::shown_keys;
use crate::keys;
use crate::version::RowVersion;

pub use self::key_text::KeyText;
pub use self::shared::{BoxError, SharedError};

/// The result of nearly everything in this crate.
pub type Result<T, E = TitoError> = std::result::Result<T, E>;

/// What went wrong, and whether trying again can help ([`TitoError::is_retryable`]).
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TitoError {
    /// Another transaction committed a write to a key that this one wrote or locked. Nothing was committed. A new
    /// transaction can succeed; [`transaction`](crate::Database::transaction) starts one by itself.
    #[error("conflict: key {key} was committed by another transaction after this one began; nothing was written")]
    Conflict {
        /// The key on which the transactions met.
        key: KeyText,
    },

    /// `insert` of a key that exists: a row with this id, or a unique index entry with this value. Nothing was
    /// committed. See [`TitoError::violated_index`].
    #[error("key {key} exists already; nothing was written")]
    AlreadyExists {
        /// The key that was there.
        key: KeyText,
    },

    /// Two rows have the same value in an index that is to be unique, as
    /// [`reindex`](crate::model::TitoTable::reindex) found. See [`TitoError::violated_index`].
    #[error("rows {:?} and {:?} both call for the entry {key} of a unique index", ids[0], ids[1])]
    DuplicateRows {
        /// The entry that both call for.
        key: KeyText,
        /// The rows' ids: the one that has the entry, and the one that can't.
        ids: [String; 2],
    },

    /// An update of a row that does not exist.
    #[error("there is no row {id:?} in table {table:?} to update")]
    RowNotFound {
        /// The table.
        table: String,
        /// The id that was looked for.
        id: String,
    },

    /// A row is not what it was when it was read, by its [version](crate::model::RowVersion). Nothing was written: read
    /// it again, and decide again.
    #[error("row {id:?} of table {table:?} has version {actual}, expected {expected}: somebody has written it since")]
    VersionConflict {
        /// The table.
        table: String,
        /// The row's id.
        id: String,
        /// The version that was read.
        expected: RowVersion,
        /// The version that there is.
        actual: RowVersion,
    },

    /// An event that is about something else than a row of the model that was asked for.
    #[error("the event is about {entity:?}, expected {table:?}, ':' and the id of a row")]
    NotOfTheTable {
        /// What the event is about: the row that it came from, or its entity.
        entity: String,
        /// The model's table.
        table: String,
    },

    /// A database was opened outside of a Tokio runtime.
    #[error(
        "there is no Tokio runtime: call it within one, such as a `main` with `#[tokio::main]`, a test with \
         `#[tokio::test]`, or `tokio::runtime::Runtime::block_on`"
    )]
    NoRuntime,

    /// Whether the commit took effect is not known. It is never replayed by Tito; with
    /// [`TxOptions::idempotency_key`](crate::TxOptions::idempotency_key) the outcome is found out instead.
    #[error("the outcome of the commit is unknown: it may or may not have taken effect")]
    CommitUnknown {
        /// What happened to the commit.
        #[source]
        source: SharedError,
    },

    /// A transaction with this idempotency key was committed before, by this call or another. This one did nothing.
    #[error("a transaction with idempotency key {key:?} was committed before; nothing was written")]
    AlreadyApplied {
        /// The key as it was given.
        key: String,
        /// What that call [kept](crate::Transaction::keep_result) of its result, as JSON;
        /// [`first_result`](TitoError::first_result) reads it.
        result: Option<String>,
    },

    /// `keep_result` was called in a transaction that has no idempotency key.
    #[error("the transaction has no idempotency key with which its result could be kept")]
    NoIdempotencyKey,

    /// The transaction lived longer than the engine allows; nothing was committed.
    #[error("the transaction began {age_millis} ms ago, the limit is {limit_millis} ms; nothing was written")]
    TransactionTooOld {
        /// Its age when it was refused.
        age_millis: u64,
        /// The engine's `max_transaction_age`.
        limit_millis: u64,
    },

    /// A [snapshot](crate::Database::snapshot) that the storage did not keep: what it saw may be gone, and what was
    /// read of it can't be relied on. A new one can be read.
    #[error("the snapshot can't be relied on any more: {reason}")]
    SnapshotLost {
        /// What happened to it.
        reason: String,
    },

    /// The transaction was committed or rolled back before this call.
    #[error("the transaction has ended: it was committed or rolled back before this call")]
    TransactionEnded,

    /// Every attempt at the transaction ended in a conflict.
    #[error("gave up after {attempts} attempts")]
    RetriesExhausted {
        /// How many were made.
        attempts: u32,
        /// Why the last one failed.
        #[source]
        source: Box<TitoError>,
    },

    /// A key, a value or a transaction is larger than the engine takes. Checked before anything is sent.
    #[error("{what} of {size} is over the limit of {limit} (key {key})")]
    LimitExceeded {
        /// What is too large, with its unit.
        what: &'static str,
        /// How large it is.
        size: usize,
        /// How large it may be.
        limit: usize,
        /// The key at which the limit was passed.
        key: KeyText,
    },

    /// A number or a time that is too small or too large for its use.
    #[error("{what} of {found} can't be used: expected {expected} (key {key})")]
    OutOfRange {
        /// What was asked for.
        what: &'static str,
        /// What it was, with its unit.
        found: String,
        /// The least and the most that it can be.
        expected: String,
        /// The key that it was for.
        key: KeyText,
    },

    /// A write of a key that begins as Tito's own do. Nothing was written.
    /// [`system_keys`](crate::Transaction::system_keys) writes these, for repairs.
    #[error(
        "key {key} can't be written: keys that begin with {prefix:?} are Tito's own; begin it otherwise, such as with \
         \"app/\", or repair what Tito stores with `Transaction::system_keys`"
    )]
    ReservedKey {
        /// The key.
        key: KeyText,
        /// What is Tito's about it.
        prefix: &'static str,
    },

    /// A write to a database that was opened to be read. Nothing was written.
    #[error("key {key} can't be written: the database was opened to be read")]
    ReadOnly {
        /// The first of the keys.
        key: KeyText,
    },

    /// A name of a table, an index, a topic or a worker that Tito can't use.
    #[error("{what} {name:?} is not a valid name: {reason}")]
    InvalidName {
        /// What the name was for.
        what: &'static str,
        /// The name.
        name: String,
        /// The rule that it breaks.
        reason: &'static str,
    },

    /// A value, of a row or asked for by a query, that an index can't hold.
    #[error("index {index:?} of table {table:?} can't hold this value: {reason}")]
    InvalidIndexValue {
        /// The table.
        table: String,
        /// The index.
        index: String,
        /// What was expected and what was found.
        reason: String,
    },

    /// An index that the model does not have, or that is defined in a way that can't be used.
    #[error("table {table:?} has no usable index {index:?}: {reason}")]
    InvalidIndex {
        /// The table.
        table: String,
        /// The index.
        index: String,
        /// Why it can't be used.
        reason: &'static str,
    },

    /// A query over an index that lacks the entries of some rows, or an attempt to build it that failed.
    /// [`migrate`](crate::Database::migrate) brings it up to date.
    #[error("index {index:?} of table {table:?} is {state}: bring it up to date with `Database::migrate`")]
    IndexNotBuilt {
        /// The table.
        table: String,
        /// The index.
        index: String,
        /// What it is instead.
        state: &'static str,
    },

    /// A write of a table that is being deleted by [`drop_table`](crate::Database::drop_table).
    #[error("table {table:?} is being deleted; once `Database::drop_table` is done it can be used anew")]
    TableDropped {
        /// The table.
        table: String,
    },

    /// A cursor that is not one, or belongs to another query.
    #[error("the cursor does not belong to this query: {reason}")]
    InvalidCursor {
        /// What is wrong with it.
        reason: &'static str,
    },

    /// Stored bytes that are not what their key says they are.
    #[error("the value of key {key} is not {expected}")]
    Malformed {
        /// Where the bytes are.
        key: KeyText,
        /// What should be there.
        expected: &'static str,
        /// Why they could not be read as that.
        #[source]
        source: SharedError,
    },

    /// A value that can't be stored as JSON: serde has no form for it, such as for a float that is not finite, or what it
    /// writes could not be read again as the same type. Nothing was written.
    #[error("{what} can't be stored as JSON{}{path}: {source}", if path.is_empty() { "" } else { ", at " })]
    Unserializable {
        /// What was to be written.
        what: String,
        /// The field at fault, with dots and brackets into nested values: `address.lines[2]`. Empty for the value as a
        /// whole, and where serde does not say which it is.
        path: String,
        /// Why it can't be.
        #[source]
        source: SharedError,
    },

    /// Rows that can't be read, found by a call that has to see every row. The others can be had by
    /// [`page`](crate::model::Query::page) and [`stream`](crate::model::Query::stream), a damaged one can be deleted by
    /// [`delete_damaged`](crate::model::TitoTable::delete_damaged).
    #[error("{total} of the rows can't be read: {}", shown_keys(keys, *total))]
    DamagedRows {
        /// The keys of the first hundred.
        keys: Vec<KeyText>,
        /// How many there are.
        total: u64,
        /// What is wrong with the first.
        #[source]
        source: Box<TitoError>,
    },

    /// Another process, or another engine of this process, has the database open.
    #[error("database directory {} is in use by another process or engine: one at a time can own it", directory.display())]
    DatabaseInUse {
        /// The directory.
        directory: PathBuf,
    },

    /// A directory that can't be opened as a database of Tito's. Nothing in it was changed.
    #[error("{} can't be opened as a database: {reason}", path.display())]
    InvalidDatabase {
        /// The directory or file at fault.
        path: PathBuf,
        /// What was expected.
        reason: String,
        /// What the storage said of it.
        #[source]
        source: Option<SharedError>,
    },

    /// A database that is being filled from elsewhere, by a restore or a copy, and is not whole yet. Nothing was changed.
    /// What fills it can go on, or it is deleted.
    #[error("the database is not whole: it is being filled by {mark}")]
    IncompleteDatabase {
        /// What fills it, as it has noted it.
        mark: String,
    },

    /// There is no database of Tito's where one has to be. Nothing was changed.
    #[error("there is no database here: {reason}")]
    NoDatabase {
        /// What was expected, and where.
        reason: String,
    },

    /// A place that can't be filled from elsewhere: it is not empty, or has its own idea of time. Nothing was changed.
    #[error("the target can't be filled: {reason}")]
    InvalidTarget {
        /// What was expected.
        reason: String,
    },

    /// A URL that names no database, of [`Database::open`](crate::Database::open).
    #[error("{url:?} names no database: {reason}")]
    InvalidUrl {
        /// The URL.
        url: String,
        /// What was expected.
        reason: String,
    },

    /// The database was written by a later version of Tito, in a form that this one does not know. Nothing was changed.
    #[error(
        "the database is written in format {found}, this program knows formats up to {known}: it needs a later version of Tito"
    )]
    NewerFormat {
        /// The format of the database.
        found: u32,
        /// The latest format that this program knows.
        known: u32,
    },

    /// The engine was shut down, or closed itself after an error of the storage; it must be opened again.
    #[error("the engine is closed: {reason}")]
    EngineClosed {
        /// Why.
        reason: String,
    },

    /// The storage failed while reading, or before anything was committed.
    #[error("the storage failed in {operation}")]
    Storage {
        /// What was being done.
        operation: &'static str,
        /// What the storage said.
        #[source]
        source: SharedError,
    },

    /// There was no space: the disk is full, a quota is used up, or a file may not become larger. Nothing was committed.
    ///
    /// The engine goes on. Reads work, and so do commits that delete at least as many bytes as they write, such as
    /// acknowledgements, until a small reserve is used up too. Once there is space again, everything works by itself.
    #[error("there is no space for {operation}; nothing was written")]
    StorageFull {
        /// What there was no space for.
        operation: &'static str,
        /// What the file system said.
        #[source]
        source: SharedError,
    },

    /// The storage could not be reached, was too busy or too slow, for as long as the engine tries. Nothing was committed,
    /// and a new transaction can succeed; [`transaction`](crate::Database::transaction) starts one by itself
    /// where it was the commit that failed like this.
    #[error("the storage was not available in {operation}: {source}")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// What was tried, and what came of it.
        #[source]
        source: SharedError,
    },

    /// An error of the application's own, carried through a transaction or a handler.
    #[error("{0}")]
    Application(#[source] SharedError),
}

impl TitoError {
    /// Of [`AlreadyApplied`](TitoError::AlreadyApplied), what the first call [kept](crate::Transaction::keep_result) of its
    /// result; none of other errors, and where nothing was kept. The result is of the type that the first call kept, or
    /// an error.
    pub fn first_result<T: DeserializeOwned>(&self) -> Option<Result<T>> {
        let Self::AlreadyApplied { key, result: Some(result) } = self else { return None };
        Some(serde_json::from_str(result).map_err(|source| Self::Malformed {
            key: keys::idempotency_marker(key).into(),
            expected: "the marker of an idempotency key with a result of this type",
            source: source.into(),
        }))
    }

    /// Carries an error of the application's own through [`transaction`](crate::Database::transaction) or a
    /// handler.
    ///
    /// ```
    /// use tito_core::TitoError;
    /// let error = TitoError::application("the account is closed");
    /// assert_eq!(error.to_string(), "the account is closed");
    /// ```
    pub fn application(error: impl Into<SharedError>) -> Self {
        Self::Application(error.into())
    }

    /// [`NoRuntime`](TitoError::NoRuntime), unless the caller is within a Tokio runtime. For engines that need one when
    /// they are opened.
    ///
    /// # Errors
    /// [`NoRuntime`](TitoError::NoRuntime).
    pub fn without_runtime() -> Result<()> {
        tokio::runtime::Handle::try_current().map(drop).map_err(|_| Self::NoRuntime)
    }
}
