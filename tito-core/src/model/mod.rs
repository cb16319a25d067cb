//! Models: rows with ids, indexes and events.

mod catalogue;
mod check;
mod cursor;
mod damage;
mod hand_written;
mod index;
mod of_event;
mod options;
mod query;
mod query_args;
mod reindex;
mod reindex_steps;
mod repository;
mod schema;
mod version;
mod walk;
mod write;

pub use crate::version::{InvalidRowVersion, RowVersion};
pub use catalogue::{Catalogue, CataloguedIndex, IndexState, Migration, MigrationProgress, MigrationReport};
pub use check::{Check, CheckReport};
pub use cursor::Cursor;
pub use hand_written::{TitoIndexBlockType, TitoIndexConfig, TitoIndexField, TitoModelTrait};
pub use index::{Index, IndexDefinition, IndexEntry};
pub use options::TitoOptions;
pub use query::{ById, Page, Query};
pub use query_args::{IndexArg, IndexArgs, IndexPrefix, IndexRange};
pub use reindex::{Reindex, ReindexPhase, ReindexProgress, ReindexReport};
pub use reindex_steps::{ReindexPlace, ReindexSteps};
pub use repository::TitoTable;
pub use schema::{Change, TitoOperation, TitoSchema};
