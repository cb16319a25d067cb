//! What the derive and a hand-written model both amount to.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::index::{IndexDefinition, IndexEntry};
use crate::error::Result;
use crate::event::TitoEventConfig;
use crate::timestamp::Now;

/// What happens to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TitoOperation {
    /// A row that did not exist is written.
    Insert,
    /// A row that existed is replaced.
    Update,
    /// A row that existed is removed.
    Delete,
}

impl TitoOperation {
    /// The `action` of the events of this operation: `insert`, `update` or `delete`.
    pub fn action(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// A change of one row, from which its events are computed.
#[derive(Debug)]
pub struct Change<'a, M> {
    /// What happens.
    pub operation: TitoOperation,
    /// The row before; `None` on insert.
    pub old: Option<&'a M>,
    /// The row after; on delete, the row that is removed.
    pub row: &'a M,
    /// The time when the transaction began.
    pub now: Now,
}

/// A type whose values are rows of a table.
///
/// `#[derive(TitoModel)]` implements it, and every [`TitoModelTrait`](super::TitoModelTrait) with a `Default` has it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a model",
    label = "derive `TitoModel`, or implement `TitoModelTrait` and `Default`"
)]
pub trait TitoSchema: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The table: the first component of the rows' keys. Not empty, without `:`.
    fn table() -> Cow<'static, str>;

    /// The row's id: the second component. Any text except an empty one.
    fn id(&self) -> String;

    /// The indexes of the table.
    fn index_definitions() -> Vec<IndexDefinition>;

    /// The entries that this row needs, in all indexes.
    ///
    /// # Errors
    /// [`TitoError::InvalidIndexValue`](crate::TitoError::InvalidIndexValue).
    fn index_entries(&self) -> Result<Vec<IndexEntry>>;

    /// The events that a change publishes.
    fn events(change: &Change<'_, Self>) -> Vec<TitoEventConfig>;

    /// The entity of the row's events, which decides their partition and order.
    fn entity(&self) -> String {
        format!("{}:{}", Self::table(), self.id())
    }

    /// To whom the row's events belong, so that they are found and erased with all that is the owner's; nobody's by
    /// default. The row itself is not.
    fn owner(&self) -> Option<String> {
        None
    }
}
