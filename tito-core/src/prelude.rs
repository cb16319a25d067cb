//! What every program names, and no name that its models may want: `use tito_core::prelude::*;`.

pub use crate::database::Database;
#[cfg(feature = "embedded")]
pub use crate::embedded::EmbeddedBackend;
pub use crate::error::TitoError;
pub use crate::event::{TitoEvent, TitoEventConfig};
pub use crate::model::{
    TitoIndexBlockType, TitoIndexConfig, TitoIndexField, TitoModelTrait, TitoOperation, TitoOptions, TitoTable,
};
#[cfg(feature = "tikv")]
pub use crate::tikv::TiKVBackend;
#[cfg(feature = "derive")]
pub use tito_derive::TitoModel;
