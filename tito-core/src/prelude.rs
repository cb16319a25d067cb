//! What most programs use: `use tito_core::prelude::*;`.

pub use crate::engine::{TitoEngine, TitoTransaction, TxOptions};
pub use crate::error::TitoError;
pub use crate::event::{TitoEvent, TitoEventConfig};
pub use crate::model::{
    Index, TitoIndexBlockType, TitoIndexConfig, TitoIndexField, TitoModel, TitoModelTrait, TitoOperation, TitoOptions,
};
