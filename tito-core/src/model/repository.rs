//! Reads and writes of the rows of one model.

use std::marker::PhantomData;

use super::schema::TitoSchema;
use crate::engine::TitoEngine;

/// The rows of model `M` in the database of engine `E`. Clones are cheap.
pub struct TitoModel<E, M> {
    pub(super) engine: E,
    of: PhantomData<fn() -> M>,
}

impl<E: Clone, M> Clone for TitoModel<E, M> {
    fn clone(&self) -> Self {
        Self { engine: self.engine.clone(), of: PhantomData }
    }
}

impl<E: TitoEngine, M: TitoSchema> TitoModel<E, M> {
    pub(crate) fn new(engine: E) -> Self {
        Self { engine, of: PhantomData }
    }
}
