//! Which row an event of a model came from.

use serde::{Deserialize, Serialize};

use crate::keeps_unknown_members;
use crate::row::UnknownMembers;

/// The row whose write published an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRow {
    /// Its table.
    pub table: String,
    /// Its id.
    pub id: String,
    /// Members that a later version of Tito has stored.
    #[serde(skip)]
    pub unknown: UnknownMembers,
}

keeps_unknown_members!(EventRow);

impl EventRow {
    /// The row of a table with this id.
    pub fn new(table: impl Into<String>, id: impl Into<String>) -> Self {
        Self { table: table.into(), id: id.into(), unknown: UnknownMembers::default() }
    }

    /// Whether an entity names this row: `{table}:{id}`.
    pub fn is(&self, entity: &str) -> bool {
        entity.strip_prefix(&*self.table).and_then(|rest| rest.strip_prefix(':')).is_some_and(|id| id == self.id)
    }
}
