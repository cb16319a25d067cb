//! Models: rows with ids, indexes and events.

mod hand_written;
mod index;
mod options;
mod repository;
mod schema;

pub use hand_written::{TitoIndexBlockType, TitoIndexConfig, TitoIndexField, TitoModelTrait};
pub use index::{Index, IndexDefinition, IndexEntry};
pub use options::TitoOptions;
pub use repository::TitoModel;
pub use schema::{Change, TitoOperation, TitoSchema};
