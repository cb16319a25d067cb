//! The model as checked: what the output is written from.

use proc_macro2::{Ident, TokenStream};
use syn::{Expr, Path, Type};

use crate::ast::{Field, TopicName};

/// A model. What had a mistake is left out of it.
pub(crate) struct Model<'a> {
    /// Where `tito-core` is found.
    pub(crate) root: Path,
    pub(crate) table: String,
    pub(crate) id: Option<&'a Field>,
    pub(crate) entity: Option<&'a Expr>,
    pub(crate) owner: Option<&'a Expr>,
    pub(crate) indexes: Vec<Index<'a>>,
    pub(crate) events: Vec<Event<'a>>,
}

/// An index.
pub(crate) struct Index<'a> {
    pub(crate) name: String,
    /// The name of its handle.
    pub(crate) handle: Ident,
    pub(crate) unique: bool,
    pub(crate) when: Option<&'a Expr>,
    pub(crate) fields: Vec<IndexedField<'a>>,
}

/// A field of an index.
pub(crate) struct IndexedField<'a> {
    /// `email` or `address.city`.
    pub(crate) path: TokenStream,
    /// The same, for documentation.
    pub(crate) shown: String,
    pub(crate) ty: &'a Type,
}

/// An event.
pub(crate) struct Event<'a> {
    pub(crate) name: &'a TopicName,
    pub(crate) cause: Cause<'a>,
    pub(crate) due: Due<'a>,
    pub(crate) when: Option<&'a Expr>,
}

/// Which changes of a row call for an event.
pub(crate) enum Cause<'a> {
    /// One of these operations.
    Operations(Vec<Operation>),
    /// Insert, and an update that changes this field.
    Field(&'a Field),
}

/// What happens to a row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Insert,
    Update,
    Delete,
}

impl Operation {
    pub(crate) const ALL: [Self; 3] = [Self::Insert, Self::Update, Self::Delete];
}

/// When an event falls due.
pub(crate) enum Due<'a> {
    AtOnce,
    /// So many seconds after the start of the transaction.
    After(u64),
    At(&'a Expr),
}
