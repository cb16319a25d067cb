//! Pages of events, up to a sequence.

use std::collections::VecDeque;

use tito_core::Transaction;
use tito_core::row::StoredRow;

use super::page_size::PageSize;
use super::source::{Extent, Row, Source};
use crate::error::{EventStoreError, Result};
use crate::event::Event;
use crate::keys;
use crate::log::{Head, Tail};
use crate::pattern::Pattern;
use crate::select::Select;
use crate::snapshot::{Start, filters, lost_of};
use crate::store::EventStore;

/// Patterns that name more entities than this are read from the whole store.
const MOST_ENTITIES: usize = 64;

/// Goes through the selected events of a store. It reads only those of the entities that the patterns name, if they all
/// name one; otherwise all events of the store.
pub(crate) struct Cursor {
    store: EventStore,
    patterns: Vec<Pattern>,
    sources: Vec<Source>,
    size: PageSize,
    /// The last sequence that is selected.
    end: Option<u64>,
    /// The last sequence to read, of those that there are. Found out when the first page is read.
    up_to: Option<u64>,
    /// Read, what comes next first, and not handed out yet.
    pending: VecDeque<Row>,
    /// No selected event up to this one is left.
    position: u64,
    /// The name of the model that must lack nothing that was dropped before it was read.
    whole: Option<String>,
    /// The event that the last page could not be read for.
    at_fault: Option<AtFault>,
}

/// An event that can't be handed out.
#[derive(Debug)]
pub(crate) struct AtFault {
    pub(crate) sequence: u64,
    /// As it is stored, unless it is damaged.
    pub(crate) event: Option<Event>,
}

impl Cursor {
    pub(crate) fn new(store: &EventStore, select: &Select) -> Result<Self> {
        let patterns = select.patterns()?;
        let after = select.begin();
        let sources = places(&patterns).into_iter().map(|place| Source::new(place, after)).collect();
        Ok(Self {
            store: store.clone(),
            patterns,
            sources,
            size: PageSize::new(),
            end: select.end(),
            up_to: None,
            pending: VecDeque::new(),
            position: after,
            whole: None,
            at_fault: None,
        })
    }

    /// Begins where a model does. For a cursor that has read nothing yet.
    pub(crate) fn begin(&mut self, start: &Start) {
        if start.after > self.position {
            self.skip_to(start.after);
        }
        self.whole = start.whole.clone();
    }

    /// Goes on behind a sequence, with what is read anew.
    fn skip_to(&mut self, sequence: u64) {
        self.sources = places(&self.patterns).into_iter().map(|place| Source::new(place, sequence)).collect();
        self.pending.clear();
        self.position = sequence;
        self.at_fault = None;
    }

    /// The event for which [`next_page`](Cursor::next_page) has failed, if it was one.
    pub(crate) fn at_fault(&self) -> Option<&AtFault> {
        self.at_fault.as_ref()
    }

    /// Passes over the event for which [`next_page`](Cursor::next_page) has failed.
    pub(crate) fn pass_over(&mut self) {
        if let Some(at_fault) = self.at_fault.take() {
            self.position = at_fault.sequence;
        }
    }

    /// Up to where everything was handed out.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(crate) fn store(&self) -> &EventStore {
        &self.store
    }

    /// Goes on up to what the last sequence is when the next page is read.
    pub(crate) fn extend(&mut self) {
        self.up_to = None;
        self.sources.iter_mut().for_each(Source::reopen);
    }

    /// The next events, at least one; none at the end.
    ///
    /// Every page is read at a snapshot of its own, so that a long walk holds none for long: whatever is up to the end is
    /// in all of them.
    ///
    /// An event that can't be read ends the page before it, and is the error of the next call. Then the cursor stands
    /// before it ([`at_fault`](Cursor::at_fault)): another call reads it anew, unless it is
    /// [passed over](Cursor::pass_over).
    pub(crate) async fn next_page(&mut self) -> Result<Vec<Event>> {
        if self.at_fault.is_some() {
            self.skip_to(self.position);
        }
        loop {
            if self.pending.is_empty() {
                self.pending = self.read().await?;
            }
            let page = self.take_readable()?;
            let is_exhausted = |source: &Source| source.is_exhausted && source.ahead.is_empty();
            let is_end = self.pending.is_empty() && self.sources.iter().all(is_exhausted);
            if is_end {
                self.position = self.position.max(self.up_to.unwrap_or(0));
            }
            if is_end || !page.is_empty() {
                return Ok(page);
            }
        }
    }

    /// Takes the events that were read, up to the first one that can't be read.
    fn take_readable(&mut self) -> Result<Vec<Event>> {
        let mut page = Vec::with_capacity(self.pending.len());
        while let Some(Row { sequence, event }) = self.pending.pop_front() {
            let (event, error) = match event {
                Ok(event) if !self.selects(&event) => {
                    self.position = sequence;
                    continue;
                }
                Ok(event) => match self.upcast(&event) {
                    Ok(upcast) => {
                        self.position = sequence;
                        page.push(upcast.unwrap_or(event));
                        continue;
                    }
                    Err(error) => (Some(event), error),
                },
                // Whether it would be selected, nobody can tell.
                Err(error) => (None, error),
            };
            if page.is_empty() {
                self.at_fault = Some(AtFault { sequence, event });
                return Err(error);
            }
            self.pending.push_front(Row { sequence, event: event.ok_or(error) });
            break;
        }
        Ok(page)
    }

    fn selects(&self, event: &Event) -> bool {
        match &self.patterns[..] {
            _ if event.is_erased() => false,
            [pattern] if *pattern == Pattern::any() => true,
            patterns => patterns.iter().any(|pattern| event.matches(pattern)),
        }
    }

    /// Reads what is needed to go on, and takes what is certain to come next.
    async fn read(&mut self) -> Result<VecDeque<Row>> {
        let is_needed = |source: &Source| source.ahead.is_empty() && !source.is_exhausted;
        if self.sources.iter().any(is_needed) {
            let tx = self.store.database().begin().await?;
            let read = self.fill(&tx).await;
            tx.rollback().await;
            read?;
        }
        if let [source] = &mut self.sources[..] {
            return Ok(std::mem::take(&mut source.ahead));
        }
        let mut merged = VecDeque::new();
        // Once a source has nothing ahead and more to read, what comes next is not known.
        while !self.sources.iter().any(is_needed) {
            let ahead = |source: &Source| source.ahead.front().map(|row| row.sequence);
            let sources = self.sources.iter_mut().filter(|source| !source.ahead.is_empty());
            let Some(source) = sources.min_by_key(|source| ahead(source)) else { break };
            merged.extend(source.ahead.pop_front());
        }
        Ok(merged)
    }

    async fn fill(&mut self, tx: &Transaction) -> Result<()> {
        let store = self.store.id();
        let is_first = self.up_to.is_none();
        let up_to = match self.up_to {
            Some(up_to) => up_to,
            None => {
                let Head { last, largest, .. } = read_head(&self.store, tx).await?;
                self.size.bound(largest);
                *self.up_to.insert(self.end.map_or(last, |end| end.min(last)))
            }
        };
        self.check_whole(tx).await?;
        let rows = (self.size.rows() / self.sources.len()).max(1);
        let (mut all_rows, mut all_bytes, mut is_end) = (0, 0, false);
        for source in self.sources.iter_mut().filter(|source| source.ahead.is_empty() && !source.is_exhausted) {
            let (rows, bytes) = source.read(tx, store, up_to, rows).await?;
            all_rows += rows;
            all_bytes += bytes;
            is_end |= source.is_exhausted;
        }
        if is_end && !is_first {
            // The store may have been deleted since the first page, and what is left of it is no whole.
            read_head(&self.store, tx).await?;
        }
        if all_rows > 0 {
            self.size.saw(all_rows, all_bytes);
        }
        Ok(())
    }

    /// Checks that nothing was dropped that is still to be read.
    async fn check_whole(&self, tx: &Transaction) -> Result<()> {
        let Some(model) = &self.whole else { return Ok(()) };
        let store = self.store.id();
        let tail_key = keys::log_tail(store);
        // A store without one was deleted, which is told elsewhere.
        let Some(tail) = tx.get(&tail_key).await? else { return Ok(()) };
        let tail = Tail::decode(&tail_key, &tail)?;
        let needed = || self.sources.iter().filter(|source| source.ahead.is_empty() && !source.is_exhausted);
        if needed().all(|source| source.position() >= tail.dropped) {
            return Ok(());
        }
        let lost = lost_of(tx, store, &self.patterns, tail).await?;
        for (pattern, lost) in self.patterns.iter().zip(lost) {
            let lost = self.end.map_or(lost, |end| end.min(lost));
            if needed().any(|source| source.has(pattern) && source.position() < lost) {
                let selection = filters(&self.patterns);
                return Err(EventStoreError::EventsDropped { model: model.clone(), selection, dropped: lost });
            }
        }
        Ok(())
    }

    fn upcast(&self, event: &Event) -> Result<Option<Event>> {
        self.store.types().map_or(Ok(None), |types| types.upcast(event))
    }
}

/// The places that have all events that the patterns select.
fn places(patterns: &[Pattern]) -> Vec<Extent> {
    let entities: Option<Vec<_>> = patterns.iter().map(Pattern::entity).collect();
    match entities {
        Some(mut entities) if entities.len() <= MOST_ENTITIES => {
            entities.sort_unstable();
            entities.dedup();
            entities.into_iter().map(|(of_type, id)| Extent::Entity(of_type.to_string(), id.to_string())).collect()
        }
        _ => vec![Extent::Log],
    }
}

/// The end of a store.
///
/// # Errors
/// [`EventStoreError::StoreNotFound`] if it was deleted, and those of the engine.
pub(crate) async fn read_head(store: &EventStore, tx: &Transaction) -> Result<Head> {
    let key = keys::log_head(store.id());
    match tx.get(&key).await? {
        Some(value) => Ok(Head::decode(&key, &value)?),
        None => Err(EventStoreError::StoreNotFound { name: store.name().to_string() }),
    }
}
