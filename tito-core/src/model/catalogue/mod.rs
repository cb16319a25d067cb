//! The catalogue of a table: which indexes it has, and which of them queries can rely on.
//!
//! | file | idea |
//! |---|---|
//! | this one | what is stored |
//! | `known` | what a process knows of it, so that writes and queries read none |
//! | `change` | how a state becomes the next |
//! | `migration` | brings tables up to date with the models of a program |
//! | `drop_index`, `drop_table` | deletes an index, or a table |

mod change;
mod drop_index;
mod drop_table;
mod known;
mod migration;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

pub(super) use self::change::{advance_building, begin_building, finish_building};
pub(super) use self::known::{check_query, check_write};
pub use self::migration::{Migration, MigrationProgress, MigrationReport};

use super::cursor::Cursor;
use super::index::IndexDefinition;
use crate::database::Transaction;
use crate::error::{BoxError, Result};
use crate::keys;
use crate::row::{self, StoredRow, UnknownMembers};

/// What is stored of a table, under `catalogue:{table}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// How often it was changed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub revision: u64,
    /// The indexes by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "row::nested")]
    pub indexes: BTreeMap<String, CataloguedIndex>,
    /// Whether the table is being deleted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dropping: bool,
    /// Members that a later version of Tito has stored.
    #[serde(skip)]
    pub unknown: UnknownMembers,
}

/// An index in a [`Catalogue`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CataloguedIndex {
    /// A fingerprint of its definition: 16 hexadecimal digits. See [`IndexDefinition::fingerprint`].
    pub fingerprint: String,
    /// Its state.
    pub state: IndexState,
    /// The progress of building it, if that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Cursor>,
    /// Members that a later version of Tito has stored.
    #[serde(skip)]
    pub unknown: UnknownMembers,
}

crate::keeps_unknown_members!(Catalogue, CataloguedIndex);

/// Whether queries can rely on an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IndexState {
    /// It has the entries of all rows.
    Built,
    /// A program that does not know it has written rows: entries are missing, and others are left over.
    Behind,
    /// Its entries are being added.
    Building,
    /// Its entries are being deleted.
    Dropping,
}

impl StoredRow for Catalogue {
    const EXPECTED: &'static str = "the catalogue of a table in JSON, with less than 2^53 changes";

    fn check(&self) -> Result<(), BoxError> {
        // Each change raises it by one, which must not overflow.
        if self.revision >= 1 << 53 { Err(format!("{} changes", self.revision).into()) } else { Ok(()) }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl IndexDefinition {
    /// A fingerprint of this definition of an index: 16 hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        let kind = if self.unique { "unique " } else { "" };
        format!("{:016x}", xxh3_64(format!("{kind}{}", self.covers).as_bytes()))
    }
}

impl CataloguedIndex {
    fn new(definition: &IndexDefinition, state: IndexState) -> Self {
        let unknown = UnknownMembers::default();
        Self { fingerprint: definition.fingerprint(), state, position: None, unknown }
    }

    /// Whether it is the one that a model defines.
    fn is(&self, definition: &IndexDefinition) -> bool {
        self.fingerprint == definition.fingerprint()
    }
}

impl Catalogue {
    /// That of a table whose indexes count as built.
    fn of(definitions: &[IndexDefinition]) -> Self {
        let built = |definition: &IndexDefinition| {
            (definition.name.to_string(), CataloguedIndex::new(definition, IndexState::Built))
        };
        Self { indexes: definitions.iter().map(built).collect(), ..Self::default() }
    }

    /// The catalogue as a transaction sees it, if there is one.
    ///
    /// # Errors
    /// [`TitoError::Malformed`](crate::TitoError::Malformed), and those of the engine.
    pub async fn read(tx: &Transaction, table: &str) -> Result<Option<Self>> {
        let key = keys::catalogue(table);
        tx.get(&key).await?.map(|bytes| <Self as StoredRow>::decode(&key, &bytes)).transpose()
    }

    /// Whether everybody who has read it knows that an index of this definition is there, or is being built.
    pub(super) fn says_of(&self, definition: &IndexDefinition) -> bool {
        let is_kept = |index: &CataloguedIndex| {
            index.is(definition) && matches!(index.state, IndexState::Built | IndexState::Building)
        };
        self.indexes.get(&*definition.name).is_some_and(is_kept)
    }

    async fn put(&self, tx: &Transaction, table: &str) -> Result<()> {
        tx.system_keys().put(keys::catalogue(table), self.encode()?).await
    }

    /// Whether a program with these definitions writes every entry that the catalogue says is there.
    fn is_known_to(&self, definitions: &[IndexDefinition]) -> bool {
        self.indexes.iter().all(|(name, index)| match index.state {
            // What is not rested on can't be missing.
            IndexState::Behind | IndexState::Dropping => true,
            _ => definitions.iter().any(|definition| definition.name == *name && index.is(definition)),
        })
    }
}
