//! Models folded from events.

use std::pin::pin;
use std::task::Poll;

use futures::poll;

use super::cursor::Cursor;
use super::stopped::EvolveError;
use crate::domain::Evolver;
use crate::error::{EventStoreError, Result};
use crate::event::Event;
use crate::select::Select;
use crate::snapshot::Start;
use crate::store::EventStore;

/// What folding has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fold {
    /// The sequence of the last event that was folded, or the one after which folding began if there was none.
    pub(crate) last: u64,
    /// How many events were folded.
    pub(crate) events: u64,
}

impl EventStore {
    /// Folds the selected events that exist now into a model, and returns the sequence of the last one or, if there is
    /// none, the sequence after which the selection begins. Selecting one entity reads only that entity's events.
    /// Memory holds two pages: one is folded while the next is read.
    ///
    /// A model that has snapshots ([`Evolver::as_snapshot`]) begins with the latest one of the same patterns and of its
    /// version, unless the selection says after which sequence to begin, and stores a new one when enough events were
    /// folded. So it should be a model that has not evolved by anything yet, as
    /// [`Snapshot::is_new`](crate::Snapshot::is_new) tells, and nothing else should evolve it meanwhile.
    ///
    /// A snapshot replaces the events of its selection that were dropped before it. It is ignored if some were dropped
    /// after it, or if it can't be restored; the model is then folded from the first event, if none was dropped.
    ///
    /// # Errors
    /// [`EventStoreError::Evolver`] if the model can't evolve by an event, and the error of an event that can't be
    /// read, because it is damaged or an upcaster fails. The events before it are folded, and the error says up to
    /// where. [`EventStoreError::EventsDropped`] if a model with snapshots would lack what was dropped, unless the
    /// selection says [`kept`](Select::kept), and [`EventStoreError::Snapshot`] if it is only that its snapshot can't
    /// be restored. Those of patterns, [`EventStoreError::StoreNotFound`], and those of the engine.
    pub async fn evolve<M: Evolver + Send>(
        &self,
        model: &mut M,
        select: impl Into<Select> + Send,
    ) -> Result<u64, EvolveError> {
        let select = select.into();
        let (fold, start) = self.evolve_from_snapshot(model, &select).await?;
        if start.every.is_some_and(|every| every > 0 && (fold.events >= every || start.is_due)) {
            // The model is what it should be, whatever becomes of the snapshot.
            if let Err(error) = self.save_snapshot(model, &select, fold.last, &start).await {
                self.logger().with(|| tracing::warn!(store = self.name(), %error, "a snapshot can't be stored"));
            }
        }
        Ok(fold.last)
    }

    /// Like [`evolve`](EventStore::evolve), and then stores a snapshot, however few events were folded. For a model
    /// without snapshots it is the same as `evolve`.
    ///
    /// # Errors
    /// Those of [`evolve`](EventStore::evolve), and [`EventStoreError::Snapshot`] if the model can't be written, or was evolved
    /// before: the snapshot would hold more than what is selected.
    pub async fn snapshot<M: Evolver + Send>(
        &self,
        model: &mut M,
        select: impl Into<Select> + Send,
    ) -> Result<u64, EvolveError> {
        let select = select.into();
        if let Some(model) = model.as_snapshot()
            && !model.is_new()
        {
            let source = "it was evolved before, maybe by events that are not selected".into();
            let error = EventStoreError::Snapshot { model: model.name(), operation: "written", source };
            return Err(EvolveError::at(select.begin(), error));
        }
        let (fold, start) = self.evolve_from_snapshot(model, &select).await?;
        let saved = self.save_snapshot(model, &select, fold.last, &start).await;
        saved.map_err(|source| EvolveError::at(fold.last, source))?;
        Ok(fold.last)
    }

    async fn evolve_from_snapshot<M: Evolver + Send>(
        &self,
        model: &mut M,
        select: &Select,
    ) -> Result<(Fold, Start), EvolveError> {
        let stopped = |source| EvolveError::at(select.begin(), source);
        let mut cursor = Cursor::new(self, select).map_err(stopped)?;
        let start = self.start(model, select).await.map_err(stopped)?;
        cursor.begin(&start);
        Ok((fold_all(&mut cursor, model).await?, start))
    }
}

/// Folds everything up to the cursor's end.
pub(crate) async fn fold_all<M: Evolver>(cursor: &mut Cursor, model: &mut M) -> Result<Fold, EvolveError> {
    let mut fold = Fold { last: cursor.position(), events: 0 };
    let mut page = cursor.next_page().await.map_err(|source| EvolveError::at(fold.last, source))?;
    while !page.is_empty() {
        let mut reading = pin!(cursor.next_page());
        // Engines read on another thread: the next page is under way while this one is folded.
        let early = poll!(&mut reading);
        for event in &page {
            evolve_one(model, event).map_err(|source| EvolveError::at(fold.last, source))?;
            fold = Fold { last: event.sequence(), events: fold.events + 1 };
        }
        let next = match early {
            Poll::Ready(next) => next,
            Poll::Pending => reading.await,
        };
        page = next.map_err(|source| EvolveError::at(fold.last, source))?;
    }
    Ok(fold)
}

pub(crate) fn evolve_one<M: Evolver>(model: &mut M, event: &Event) -> Result<()> {
    model.evolve(event).map_err(|source| EventStoreError::Evolver {
        sequence: event.sequence(),
        event_type: event.event_type().to_string(),
        entity: event.entity().to_string(),
        source: source.into(),
    })
}
