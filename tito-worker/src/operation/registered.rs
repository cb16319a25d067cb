//! What an application has registered for operations that need its types.

use std::fmt;
use std::sync::Arc;

use tito_core::model::TitoSchema;

use super::named::NamedSteps;
use super::rebuilt::{Projections, Rebuilds};
use super::reindexed::{self, ReindexedModel};

/// What a worker knows of its application.
#[derive(Clone, Default)]
pub(crate) struct OperationTypes {
    pub(crate) named: NamedSteps,
    models: Vec<Arc<dyn ReindexedModel>>,
    projections: Projections,
}

impl OperationTypes {
    pub(crate) fn add_model<M: TitoSchema>(&mut self) {
        self.models.push(reindexed::of::<M>());
    }

    pub(crate) fn add_projection(&mut self, store: String, projection: String, rebuilds: Arc<dyn Rebuilds>) {
        self.projections.insert((store, projection), rebuilds);
    }

    /// The model of a table that defines an index of this name.
    pub(super) fn model(&self, table: &str, index: &str) -> Option<&Arc<dyn ReindexedModel>> {
        self.models.iter().find(|model| model.table() == table && model.has(index))
    }

    pub(super) fn projection(&self, store: &str, projection: &str) -> Option<&Arc<dyn Rebuilds>> {
        self.projections.get(&(store.to_string(), projection.to_string()))
    }
}

impl fmt::Debug for OperationTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables: Vec<_> = self.models.iter().map(|model| model.table()).collect();
        f.debug_struct("OperationTypes")
            .field("named", &self.named)
            .field("tables", &tables)
            .field("projections", &self.projections.keys())
            .finish()
    }
}
