//! Several models folded from one read.

use super::cursor::Cursor;
use super::evolve::fold_all;
use super::stopped::EvolveError;
use crate::domain::Evolver;
use crate::error::Result;
use crate::event::Event;
use crate::pattern::Pattern;
use crate::select::Select;
use crate::store::EventStore;

/// A model and the events that it is to evolve by, for [`EventStore::evolve_all`].
#[must_use]
pub struct Evolving<'a> {
    model: &'a mut (dyn Evolver + Send),
    select: Select,
}

impl<'a> Evolving<'a> {
    /// A model to evolve by the selected events.
    pub fn new(model: &'a mut (dyn Evolver + Send), select: impl Into<Select>) -> Self {
        Self { model, select: select.into() }
    }
}

impl EventStore {
    /// Folds the events that exist now into several models, each with its own selection, and reads each event once.
    /// Returns the sequence of the last event by which any of them has evolved or, if there is none, the earliest
    /// sequence after which a selection begins. Snapshots are neither used nor stored.
    ///
    /// ```
    /// # use tito_core::{BoxError, prelude::*};
    /// use tito_eventstore::{Event, EventStore, EventStoreError, Evolver, Evolving, Select};
    ///
    /// #[derive(Default)]
    /// struct Count(u64);
    ///
    /// impl Evolver for Count {
    ///     fn evolve(&mut self, _: &Event) -> Result<(), BoxError> {
    ///         self.0 += 1;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # async fn example(bank: EventStore) -> Result<(), EventStoreError> {
    /// let (mut accounts, mut deposits) = (Count::default(), Count::default());
    /// bank.evolve_all([
    ///     Evolving::new(&mut accounts, "account.*.opened"),
    ///     Evolving::new(&mut deposits, Select::filter("account.*.deposited").after(1000)),
    /// ])
    /// .await?;
    /// println!("{} accounts, {} deposits", accounts.0, deposits.0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`evolve`](EventStore::evolve), except for snapshots. Folding stops for all models at the first event
    /// that one of them can't evolve by: those before it in the list have evolved by that event, the others have not.
    pub async fn evolve_all<'a>(
        &self,
        models: impl IntoIterator<Item = Evolving<'a>> + Send,
    ) -> Result<u64, EvolveError> {
        let models: Vec<Evolving<'a>> = models.into_iter().collect();
        let begin = models.iter().map(|model| model.select.begin()).min().unwrap_or(0);
        let stopped = |source| EvolveError::at(begin, source);
        let members: Vec<Member<'a>> = models.into_iter().map(Member::new).collect::<Result<_>>().map_err(stopped)?;
        if members.is_empty() {
            return Ok(0);
        }
        let ends: Option<Vec<u64>> = members.iter().map(|member| member.select.end()).collect();
        let mut union = Select::all().after(begin);
        for pattern in members.iter().flat_map(|member| &member.patterns) {
            union = union.or(pattern.to_string());
        }
        if let Some(end) = ends.and_then(|ends| ends.into_iter().max()) {
            union = union.up_to(end);
        }
        let mut cursor = Cursor::new(self, &union).map_err(stopped)?;
        Ok(fold_all(&mut cursor, &mut All(members)).await?.last)
    }
}

struct Member<'a> {
    model: &'a mut (dyn Evolver + Send),
    select: Select,
    patterns: Vec<Pattern>,
}

impl<'a> Member<'a> {
    fn new(Evolving { model, select }: Evolving<'a>) -> Result<Self> {
        Ok(Self { patterns: select.patterns()?, model, select })
    }

    fn selects(&self, event: &Event) -> bool {
        let is_within =
            event.sequence() > self.select.begin() && self.select.end().is_none_or(|end| event.sequence() <= end);
        is_within && self.patterns.iter().any(|pattern| event.matches(pattern))
    }
}

/// All models, as one.
struct All<'a>(Vec<Member<'a>>);

impl Evolver for All<'_> {
    fn evolve(&mut self, event: &Event) -> std::result::Result<(), tito_core::BoxError> {
        for member in self.0.iter_mut().filter(|member| member.selects(event)) {
            member.model.evolve(event)?;
        }
        Ok(())
    }
}
