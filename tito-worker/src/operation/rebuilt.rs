//! What a projection does in a rebuild that is an operation.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Value, json};
use tito_core::{Result, Transaction};

/// A projection as one that can be [rebuilt](crate::OperationTask::Rebuild): an event store implements it, and its
/// `Projection::subscribe` registers it.
pub trait Rebuilds: Send + Sync + 'static {
    /// Begins a new generation in a transaction, and returns its number.
    fn begin<'a>(&'a self, tx: &'a Transaction) -> BoxFuture<'a, Result<u64>>;

    /// Folds for some seconds at the most, and says how far the generation is. Can be called again, and by several at once.
    fn fold<'a>(&'a self, generation: u64) -> BoxFuture<'a, Result<RebuildProgress>>;

    /// Takes the generation out of service in a transaction, if it does not serve yet.
    fn abandon<'a>(&'a self, generation: u64, tx: &'a Transaction) -> BoxFuture<'a, Result<()>>;
}

/// How far a generation of a projection is that is being rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RebuildProgress {
    /// All events up to a sequence are folded, of those up to another.
    Folded {
        /// The one.
        sequence: u64,
        /// The other.
        of: u64,
    },
    /// It serves, or has served since.
    Serves {
        /// Up to where it was folded when that was looked at.
        sequence: u64,
    },
    /// Another rebuild has taken its place, or the projection was removed.
    Replaced,
}

pub(super) type Projections = std::collections::BTreeMap<(String, String), Arc<dyn Rebuilds>>;

/// The generation in a cursor.
pub(super) fn generation_of(cursor: Option<&Value>) -> Option<u64> {
    cursor?.get("generation")?.as_u64()
}

pub(super) fn cursor_of(generation: u64) -> Value {
    json!({"generation": generation})
}
