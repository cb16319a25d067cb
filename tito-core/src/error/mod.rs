//! The one error type of `tito-core`.

mod constructors;
mod key_text;
mod predicates;
mod shared;

use std::path::PathBuf;

use self::key_text::shown_keys;
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

    /// A row has changed since it was read, by its [version](crate::model::RowVersion). Nothing was written: read it
    /// again, and decide again.
    #[error("row {id:?} of table {table:?} has version {actual}, expected {expected}: it was written in the meantime")]
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

    /// An event that is not about a row of the model that was asked for.
    #[error("the event is about {entity:?}, expected {table:?}, ':' and the id of a row")]
    NotOfTheTable {
        /// What the event is about: the row that it came from, or its entity.
        entity: String,
        /// The model's table.
        table: String,
    },

    /// A database was opened outside a Tokio runtime.
    #[error(
        "there is no Tokio runtime: call this within one, such as a `main` with `#[tokio::main]`, a test with \
         `#[tokio::test]`, or `tokio::runtime::Runtime::block_on`"
    )]
    NoRuntime,

    /// It is not known whether the commit took effect. Tito never replays it; with
    /// [`TxOptions::idempotency_key`](crate::TxOptions::idempotency_key) the outcome is found out instead.
    #[error("the outcome of the commit is unknown: it may or may not have taken effect")]
    CommitUnknown {
        /// What happened to the commit.
        #[source]
        source: SharedError,
    },

    /// A transaction with this idempotency key was committed before, by this call or another one. This call did
    /// nothing.
    #[error("a transaction with idempotency key {key:?} was committed before; nothing was written")]
    AlreadyApplied {
        /// The key as it was given.
        key: String,
        /// What that call [kept](crate::Transaction::keep_result) of its result, as JSON;
        /// [`first_result`](TitoError::first_result) reads it.
        result: Option<String>,
    },

    /// `keep_result` was called in a transaction that has no idempotency key.
    #[error("the transaction has no idempotency key to keep the result with")]
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
    /// read from it can't be relied on. Take a new one.
    #[error("the snapshot can no longer be relied on: {reason}")]
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
        /// The smallest and largest value allowed.
        expected: String,
        /// The key that it was for.
        key: KeyText,
    },

    /// A write to a key that begins like Tito's own. Nothing was written.
    /// [`system_keys`](crate::Transaction::system_keys) writes these, for repairs.
    #[error(
        "key {key} can't be written: keys that begin with {prefix:?} are Tito's own; begin it with something else, such as \
         \"app/\", or repair what Tito stores with `Transaction::system_keys`"
    )]
    ReservedKey {
        /// The key.
        key: KeyText,
        /// The reserved prefix that it begins with.
        prefix: &'static str,
    },

    /// A write to a database that was opened for reading only. Nothing was written.
    #[error("key {key} can't be written: the database was opened for reading only")]
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

    /// A value that an index can't hold, in a row or a query.
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

    /// A query over an index that lacks the entries of some rows, or a failed attempt to build it.
    /// [`migrate`](crate::Database::migrate) brings it up to date.
    #[error("index {index:?} of table {table:?} is {state}: bring it up to date with `Database::migrate`")]
    IndexNotBuilt {
        /// The table.
        table: String,
        /// The index.
        index: String,
        /// The state that it is in.
        state: &'static str,
    },

    /// A write to a table that is being deleted by [`drop_table`](crate::Database::drop_table).
    #[error("table {table:?} is being deleted; it can be used again once `Database::drop_table` is done")]
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

    /// A value that can't be stored as JSON: JSON has no form for it, such as for a float that is not finite, or what
    /// serde writes can't be read back as the same type. Nothing was written.
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

    /// Rows that can't be read, found by a call that has to see every row. To get the others, use
    /// [`page`](crate::model::Query::page) or [`stream`](crate::model::Query::stream); to delete a damaged one, use
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
    #[error("database directory {} is in use by another process or engine: only one at a time can own it", directory.display())]
    DatabaseInUse {
        /// The directory.
        directory: PathBuf,
    },

    /// A directory that can't be opened as a Tito database. Nothing in it was changed.
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

    /// A database that is being filled from elsewhere, by a restore or a copy, and is not complete yet. Nothing was
    /// changed. Either resume filling it, or delete it.
    #[error("the database is incomplete: it is being filled by {mark}")]
    IncompleteDatabase {
        /// What fills it, as it has noted it.
        mark: String,
    },

    /// There is no Tito database where one has to be. Nothing was changed.
    #[error("there is no database here: {reason}")]
    NoDatabase {
        /// What was expected, and where.
        reason: String,
    },

    /// A target that can't be filled from elsewhere: it is not empty, or its clock is behind the source. Nothing was
    /// changed.
    #[error("the target can't be filled: {reason}")]
    InvalidTarget {
        /// What was expected.
        reason: String,
    },

    /// A URL for [`Database::open`](crate::Database::open) that names no database.
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
    /// The engine stays open. Reads work, and so do commits that delete at least as many bytes as they write, such as
    /// acknowledgements, until a small reserve is used up too. Once there is space again, everything recovers by
    /// itself.
    #[error("there is no space for {operation}; nothing was written")]
    StorageFull {
        /// What there was no space for.
        operation: &'static str,
        /// What the file system said.
        #[source]
        source: SharedError,
    },

    /// The storage could not be reached, or was too busy or too slow, for as long as the engine kept trying. Nothing
    /// was committed, and a new transaction can succeed; [`transaction`](crate::Database::transaction) starts one by
    /// itself where it was the commit that failed like this.
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
