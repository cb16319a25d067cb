//! The store, page by page.

use tito_core::DatabaseSnapshot;
use tito_core::database::PageSize;
use tito_core::engine::{Direction, KeyValue};
use tito_core::keys::KeyRange;
use tito_core::panics;
use tito_core::row::StoredRow;

use super::fold::{Folding, StoredState, with_causes};
use super::{Fold, Of, StoreCheck, StoreFault, StoreReport};
use crate::error::Result;
use crate::event::Event;
use crate::keys;
use crate::log::{Definition, Head, Tail};
use crate::pattern::Pattern;
use crate::snapshot::{Stored, filters, lost_at};
use crate::types::Registry;

/// How much is read at once: rows, and bytes of these.
const PAGE_ROWS: usize = 1_000;
const PAGE_BYTES: usize = 1 << 20;

/// A check of a store that is under way: [`next`](StoreChecking::next) goes on with it. One page and the models that are
/// being folded are in memory.
pub struct StoreChecking<'a> {
    snapshot: &'a DatabaseSnapshot,
    store: u64,
    tail: Tail,
    last: u64,
    types: Option<Registry>,
    report: StoreReport,
    faults: Vec<StoreFault>,
    /// What is left of the walk over all events, and what is folded in it.
    events: Option<KeyRange>,
    selections: Vec<(Vec<Pattern>, Folding)>,
    /// What is left to be folded entity by entity, the last first.
    by_entity: Vec<ByEntity>,
}

/// A walk over the entities of a type.
struct ByEntity {
    fold: Fold,
    entity_type: String,
    rest: KeyRange,
    /// The entity that is being folded. Without a model it can't be.
    current: Option<(String, Option<Folding>)>,
}

impl<'a> StoreChecking<'a> {
    pub(super) async fn begin(check: &StoreCheck, snapshot: &'a DatabaseSnapshot) -> Result<Option<Self>> {
        let key = keys::event_store(&check.store);
        let Some(definition) = snapshot.get(&key).await? else { return Ok(None) };
        let store = Definition::decode(&key, &definition)?.id;
        let (head_key, tail_key) = (keys::log_head(store), keys::log_tail(store));
        let head = snapshot.get(&head_key).await?.map(|value| Head::decode(&head_key, &value)).transpose()?;
        let tail = snapshot.get(&tail_key).await?.map(|value| Tail::decode(&tail_key, &value)).transpose()?;
        let (last, tail) = (head.unwrap_or_default().last, tail.unwrap_or_default());
        let report = StoreReport {
            store: check.store.clone(),
            are_types_checked: check.types.is_some(),
            types_not_folded: types_not_folded(check, snapshot, store).await?,
            ..StoreReport::default()
        };
        let mut checking = Self {
            snapshot,
            store,
            events: Some(keys::log_events_between(store, tail.dropped, last)),
            tail,
            last,
            types: check.types.clone(),
            report,
            faults: Vec::new(),
            selections: Vec::new(),
            by_entity: Vec::new(),
        };
        for fold in check.folds.iter().rev() {
            match &fold.of {
                Of::EachEntity(entity_type) => {
                    let (entity_type, rest) = (entity_type.clone(), keys::log_entity_events(store, entity_type, None));
                    checking.by_entity.push(ByEntity { fold: fold.clone(), entity_type, rest, current: None });
                }
                Of::Selection(select) => {
                    let patterns = select.patterns()?;
                    let folding = checking.folding(fold, &patterns).await?;
                    checking.selections.extend(folding.map(|folding| (patterns, folding)));
                }
            }
        }
        Ok(Some(checking))
    }

    /// Goes on, and returns how many bytes of keys and values were read for it; `None` at the end. What was found is for
    /// [`take_faults`](StoreChecking::take_faults).
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn next(&mut self) -> Result<Option<u64>> {
        if let Some(rest) = self.events.take() {
            return self.next_events(rest).await.map(Some);
        }
        match self.by_entity.pop() {
            Some(walk) => self.next_of_entities(walk).await.map(Some),
            None => Ok(None),
        }
    }

    /// What was found since it was taken last.
    pub fn take_faults(&mut self) -> Vec<StoreFault> {
        self.report.faults += self.faults.len() as u64;
        std::mem::take(&mut self.faults)
    }

    /// The number of the store, by which its keys are made.
    pub fn number(&self) -> u64 {
        self.store
    }

    /// What was looked at so far, and how much of it is wrong as far as that was taken.
    pub fn report(&self) -> &StoreReport {
        &self.report
    }

    async fn next_events(&mut self, rest: KeyRange) -> Result<u64> {
        let (page, bytes) = page_of(self.snapshot, &rest).await?;
        self.events = page.last().map(|(key, _)| rest.after(key));
        for (key, value) in page {
            let Some((sequence, None)) = keys::parse_log_event(&key) else { continue };
            self.report.events += 1;
            // What is no event at all is told of by its form.
            let Ok(event) = Event::decode(&key, sequence, value) else { continue };
            self.look_at(&event);
        }
        if self.events.is_none() {
            for (_, folding) in std::mem::take(&mut self.selections) {
                self.finish(folding);
            }
        }
        Ok(bytes)
    }

    fn look_at(&mut self, event: &Event) {
        if event.is_erased() {
            return;
        }
        let read = self.read(event);
        if let Err(reason) = &read {
            let (entity, event_type) = (event.entity().to_string(), event.event_type().to_string());
            let (sequence, reason) = (event.sequence(), reason.clone());
            self.faults.push(StoreFault::Data { sequence, entity, event_type, reason });
        }
        let upcast = self.upcast(event);
        for (patterns, folding) in &mut self.selections {
            if patterns.iter().any(|pattern| event.matches(pattern)) {
                fold(folding, event, &upcast, &mut self.faults, &mut self.report.snapshots);
            }
        }
    }

    /// Whether its data is as its type says.
    fn read(&self, event: &Event) -> Result<(), String> {
        let Some(types) = &self.types else { return Ok(()) };
        match panics::caught(|| types.check_stored(event)) {
            Ok(checked) => checked.map_err(|error| with_causes(&error)),
            Err(panic) => Err(format!("reading it panicked: {panic}")),
        }
    }

    fn upcast(&self, event: &Event) -> Result<Option<Event>, String> {
        let Some(types) = &self.types else { return Ok(None) };
        match panics::caught(|| types.upcast(event)) {
            Ok(upcast) => upcast.map_err(|error| with_causes(&error)),
            Err(panic) => Err(format!("an upcaster panicked: {panic}")),
        }
    }

    async fn next_of_entities(&mut self, mut walk: ByEntity) -> Result<u64> {
        let (page, bytes) = page_of(self.snapshot, &walk.rest).await?;
        let is_over = page.is_empty();
        if let Some((key, _)) = page.last() {
            walk.rest = walk.rest.after(key);
        }
        for (key, value) in page {
            let Some((sequence, Some((_, id)))) = keys::parse_log_event(&key) else { continue };
            if sequence <= self.tail.dropped || sequence > self.last {
                continue;
            }
            if walk.current.as_ref().is_none_or(|(current, _)| *current != id) {
                self.finish_entity(&mut walk);
                let entity = format!("{}.{id}", walk.entity_type);
                // A key can name what no pattern can.
                let folding = match entity.parse() {
                    Ok(pattern) => self.folding(&walk.fold, &[pattern]).await?,
                    Err(_) => None,
                };
                walk.current = Some((id, folding));
            }
            let Some((_, Some(folding))) = &mut walk.current else { continue };
            match Event::decode(&key, sequence, value) {
                Ok(event) => {
                    let upcast = self.upcast(&event);
                    fold(folding, &event, &upcast, &mut self.faults, &mut self.report.snapshots);
                }
                Err(error) => {
                    let entity = walk.current_entity();
                    if let Some((_, Some(folding))) = &mut walk.current {
                        folding.fail(sequence, &entity, with_causes(&error), &mut self.faults);
                    }
                }
            }
        }
        if is_over {
            self.finish_entity(&mut walk);
        } else {
            self.by_entity.push(walk);
        }
        Ok(bytes)
    }

    fn finish_entity(&mut self, walk: &mut ByEntity) {
        if let Some((_, Some(folding))) = walk.current.take() {
            self.finish(folding);
        }
    }

    fn finish(&mut self, folding: Folding) {
        let is_folded = folding.finish(self.last, &mut self.faults, &mut self.report.snapshots);
        self.report.folded += u64::from(is_folded);
    }

    /// A model at its beginning; `None` where it can't have one.
    async fn folding(&mut self, fold: &Fold, patterns: &[Pattern]) -> Result<Option<Folding>> {
        let made = panics::caught(|| (fold.new)());
        let mut folding = match made {
            Ok(model) => Folding::new(model, fold.model, fold.new.clone()),
            Err(panic) => {
                let (entity, model) = (filters(patterns), fold.model.to_string());
                let reason = format!("making it panicked: {panic}");
                self.faults.push(StoreFault::Fold { sequence: 0, entity, model, reason });
                return Ok(None);
            }
        };
        let (name, version) = match folding.snapshots() {
            Ok(Some(of)) => of,
            // It begins with what is kept.
            Ok(None) => return Ok(Some(folding)),
            Err(panic) => {
                folding.fail(1, &filters(patterns), format!("it panicked: {panic}"), &mut self.faults);
                return Ok(None);
            }
        };
        let filters = filters(patterns);
        let own = keys::log_snapshot_version(self.store, &name, &filters, version);
        let old = keys::log_snapshot(self.store, &name, &filters);
        let mut stored = Vec::new();
        let rows = self.snapshot.batch_get(vec![own.clone(), old.clone()]).await?;
        for (key, value) in [own, old].into_iter().zip(rows) {
            // What is too short is told of by its form.
            let Some(Ok(found)) = value.as_deref().map(|value| Stored::decode(&key, value)) else { continue };
            if found.version == version {
                let (sequence, state) = (found.sequence, found.state.to_vec());
                stored.push(StoredState { key, sequence, state });
            }
        }
        let lost = lost_at(self.snapshot, self.store, patterns, &self.tail).await?;
        let can_begin = folding.begin(stored, lost.into_iter().max().unwrap_or(0), &mut self.faults);
        self.report.cut_off += u64::from(!can_begin);
        Ok(can_begin.then_some(folding))
    }
}

impl ByEntity {
    fn current_entity(&self) -> String {
        let id = self.current.as_ref().map_or("", |(id, _)| id);
        format!("{}.{id}", self.entity_type)
    }
}

/// Folds an event as a program with these types reads it.
fn fold(
    folding: &mut Folding,
    event: &Event,
    upcast: &Result<Option<Event>, String>,
    faults: &mut Vec<StoreFault>,
    compared: &mut u64,
) {
    match upcast {
        Ok(upcast) => folding.evolve(upcast.as_ref().unwrap_or(event), faults, compared),
        Err(reason) => folding.fail(event.sequence(), event.entity(), reason.clone(), faults),
    }
}

/// With how many bytes it has.
async fn page_of(snapshot: &DatabaseSnapshot, rest: &KeyRange) -> Result<(Vec<KeyValue>, u64)> {
    let page = snapshot.next_page(rest.clone(), Direction::Ascending, page_size()).await?;
    let bytes = page.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
    Ok((page, bytes))
}

fn page_size() -> PageSize {
    PageSize::entries(PAGE_ROWS).and_bytes(PAGE_BYTES)
}

async fn types_not_folded(check: &StoreCheck, snapshot: &DatabaseSnapshot, store: u64) -> Result<Vec<String>> {
    let mut patterns = Vec::new();
    for fold in &check.folds {
        match &fold.of {
            Of::EachEntity(entity_type) => patterns.push(entity_type.parse()?),
            Of::Selection(select) => patterns.extend(select.patterns()?),
        }
    }
    let is_folded = |of: &str| patterns.iter().any(|pattern: &Pattern| pattern.entity_type().is_none_or(|it| it == of));
    let mut types = Vec::new();
    let mut rest = keys::log_last_of_types(store);
    loop {
        let page = snapshot.next_page(rest.clone(), Direction::Ascending, page_size()).await?;
        let Some((last, _)) = page.last() else { return Ok(types) };
        rest = rest.after(last);
        types.extend(page.iter().filter_map(|(key, _)| keys::parse_log_type(key)).filter(|name| !is_folded(name)));
    }
}

impl std::fmt::Debug for StoreChecking<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreChecking").field("report", &self.report).finish_non_exhaustive()
    }
}
