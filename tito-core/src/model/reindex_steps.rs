//! A reindexing step by step, for those that keep how far it is beside what else they write.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::catalogue::{Catalogue, begin_building, finish_building};
use super::cursor::Cursor;
use super::index::IndexDefinition;
use super::query::check_index;
use super::reindex::{Batch, Reindex, ReindexPhase, ReindexReport};
use super::repository::TitoTable;
use super::schema::TitoSchema;
use crate::database::{PageSize, Transaction, Walk};
use crate::error::{Result, TitoError};
use crate::event::settle_topics;
use crate::keys;

/// How far a reindexing is that is made [step by step](ReindexSteps::step).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReindexPlace {
    /// What it goes over.
    pub phase: ReindexPhase,
    /// The last key that it has gone over; `None` at the beginning of the phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// A reindexing that somebody makes step by step. See [`Reindex::steps`].
#[must_use = "nothing is done before it is begun"]
pub struct ReindexSteps<M> {
    model: TitoTable<M>,
    index: Cow<'static, str>,
    batch: usize,
}

impl<M: TitoSchema> Reindex<M> {
    /// The same to be made step by step, each within a transaction of the caller's, which can note in it how far it is:
    /// [`begin`](ReindexSteps::begin), [`step`](ReindexSteps::step) from one place to the next, and
    /// [`finish`](ReindexSteps::finish).
    pub fn steps(self) -> ReindexSteps<M> {
        ReindexSteps { model: self.model, index: self.index, batch: self.batch }
    }
}

impl<M> fmt::Debug for ReindexSteps<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReindexSteps").field("index", &self.index).field("batch", &self.batch).finish_non_exhaustive()
    }
}

impl<M: TitoSchema> ReindexSteps<M> {
    /// Says that the index is being built, waits until every writer knows, where that takes time, and returns where to begin:
    /// where another run was cut off, if one was. An index that counts as built goes on answering queries meanwhile.
    ///
    /// # Errors
    /// As [`Reindex::run`].
    pub async fn begin(&self) -> Result<ReindexPlace> {
        let definition = self.definition()?;
        let (database, table) = (self.model.database.clone(), self.model.table.clone());
        let known = database.transaction(|tx| async move { Catalogue::read(&tx, &table).await }).await?;
        let position = begin_building(&self.model.database, &self.model.table, &definition).await?;
        let was_known = known.is_some_and(|known| known.says_of(&definition));
        if !was_known {
            settle_topics(&self.model.database).await?;
        }
        let in_entries = |at: &Cursor| keys::index_entries(&self.model.table, &definition.name).contains(at.key());
        let phase = if position.as_ref().is_some_and(in_entries) { ReindexPhase::Entries } else { ReindexPhase::Rows };
        Ok(ReindexPlace { phase, after: position })
    }

    /// Goes over one batch within a transaction, in which it can be noted where the next goes on; `None` at the end, after
    /// which [`finish`](ReindexSteps::finish) is to be called.
    ///
    /// # Errors
    /// As [`Reindex::run`].
    pub async fn step(&self, place: &ReindexPlace, tx: &Transaction) -> Result<(ReindexReport, Option<ReindexPlace>)> {
        let definition = self.definition()?;
        let whole = match place.phase {
            ReindexPhase::Rows => keys::rows(&self.model.table),
            ReindexPhase::Entries => keys::index_entries(&self.model.table, &definition.name),
        };
        let range = match &place.after {
            None => whole,
            Some(after) if whole.contains(after.key()) => whole.after(after.key()),
            Some(_) => return Err(TitoError::InvalidCursor { reason: "its place is not in what is gone over" }),
        };
        let walk = Walk::over(range).in_pages(PageSize::entries(self.batch));
        let batch = Batch { model: self.model.clone(), definition, walk };
        let step = match place.phase {
            ReindexPhase::Rows => batch.add_missing(tx).await?,
            ReindexPhase::Entries => batch.remove_others(tx).await?,
        };
        let next = match (step.last, place.phase) {
            (Some(last), phase) => Some(ReindexPlace { phase, after: Some(Cursor::new(last)) }),
            (None, ReindexPhase::Rows) => Some(ReindexPlace { phase: ReindexPhase::Entries, after: None }),
            (None, ReindexPhase::Entries) => None,
        };
        Ok((step.done, next))
    }

    /// Says that the index is built. Can be called again.
    ///
    /// # Errors
    /// [`TitoError::IndexNotBuilt`] if the index has fallen behind meanwhile, and those of the engine.
    pub async fn finish(&self) -> Result<()> {
        finish_building(&self.model.database, &self.model.table, &self.definition()?).await
    }

    fn definition(&self) -> Result<IndexDefinition> {
        if self.model.is_of_a_view {
            return Err(TitoError::application("rows of a view can't be reindexed: rebuild what keeps them"));
        }
        check_index::<M>(&self.model.table, &self.index, None)
    }
}
