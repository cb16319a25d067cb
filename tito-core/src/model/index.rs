//! Indexes: definitions, entries and typed handles.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use crate::error::{Result, TitoError};
use crate::keys::{self, InvalidIndexValue};

/// One index of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexDefinition {
    /// Its name, unique within the table.
    pub name: Cow<'static, str>,
    /// Whether two rows can't have the same values.
    pub unique: bool,
    /// What it covers, as a text: its fields with their types, and its condition. Two definitions of an index with
    /// different texts are different indexes, each of which has to be built: see [`migrate`](crate::Database::migrate).
    /// May be empty if an index never changes under its name.
    pub covers: Cow<'static, str>,
}

/// The most entries that one row can have in one index: as many as a transaction takes keys.
const MAX_ENTRIES: usize = 10_000;

/// An entry that a row needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IndexEntry {
    /// The index.
    pub name: Cow<'static, str>,
    /// Whether the index is unique.
    pub unique: bool,
    /// The encoded values of the fields, [joined](keys::push_field_separator).
    pub fields: Vec<u8>,
}

impl IndexEntry {
    /// The entries of one index for one row: one for each combination of the values of its fields, of which a field
    /// has several if it is a collection, and none if it is `None`.
    ///
    /// # Errors
    /// [`TitoError::InvalidIndexValue`] if one of the fields could not be encoded, or they make more than 10,000
    /// combinations.
    pub fn combine(
        table: &str,
        definition: IndexDefinition,
        fields: &[Result<Vec<Vec<u8>>, InvalidIndexValue>],
    ) -> Result<Vec<Self>> {
        let invalid = |reason: String| TitoError::InvalidIndexValue {
            table: table.to_string(),
            index: definition.name.to_string(),
            reason,
        };
        let mut combined: Vec<Vec<u8>> = vec![Vec::new()];
        for (position, field) in fields.iter().enumerate() {
            let values = field.as_ref().map_err(|error| invalid(error.to_string()))?;
            if combined.len().saturating_mul(values.len()) > MAX_ENTRIES {
                return Err(invalid(format!("its fields make more than {MAX_ENTRIES} combinations")));
            }
            combined = combined
                .iter()
                .flat_map(|before| values.iter().map(move |value| (before, value)))
                .map(|(before, value)| {
                    let mut joined = Vec::with_capacity(before.len() + 1 + value.len());
                    joined.extend_from_slice(before);
                    if position > 0 {
                        keys::push_field_separator(&mut joined);
                    }
                    joined.extend_from_slice(value);
                    joined
                })
                .collect();
        }
        let IndexDefinition { name, unique, .. } = definition;
        Ok(combined.into_iter().map(|fields| Self { name: name.clone(), unique, fields }).collect())
    }

    /// The entry's key for the row `id`.
    pub fn key(&self, table: &str, id: &str) -> Vec<u8> {
        if self.unique {
            keys::unique_index_entry(table, &self.name, &self.fields)
        } else {
            keys::index_entry(table, &self.name, &self.fields, id)
        }
    }

    /// The entry's value for the row `id`: the id for a unique index, else nothing.
    pub fn value(&self, id: &str) -> Vec<u8> {
        if self.unique { id.as_bytes().to_vec() } else { Vec::new() }
    }
}

/// A typed handle to an index of `M`: `K` is the tuple of the [kinds](crate::keys::IndexField::Kind) of its fields.
///
/// The derive makes one constant for each index, such as `User::BY_EMAIL`, so that a query over an index that does not
/// exist, or with a value of another type, does not compile.
pub struct Index<M, K> {
    name: &'static str,
    unique: bool,
    of: PhantomData<fn() -> (M, K)>,
}

impl<M, K> Index<M, K> {
    /// The handle to the index with this name. Hand-written models declare theirs with it; a query checks at run time
    /// that the model has the index.
    ///
    /// ```
    /// # use tito_core::model::Index;
    /// # struct User;
    /// const BY_EMAIL: Index<User, (String,)> = Index::new("by_email", false);
    /// ```
    pub const fn new(name: &'static str, unique: bool) -> Self {
        Self { name, unique, of: PhantomData }
    }

    /// The index's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the index is unique.
    pub const fn is_unique(&self) -> bool {
        self.unique
    }
}

impl<M, K> Clone for Index<M, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M, K> Copy for Index<M, K> {}

impl<M, K> fmt::Debug for Index<M, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("name", &self.name).field("unique", &self.unique).finish()
    }
}

impl<M, K> From<Index<M, K>> for Cow<'static, str> {
    fn from(index: Index<M, K>) -> Self {
        Cow::Borrowed(index.name)
    }
}
