//! Where a model begins.

use std::cmp::Reverse;

use tito_core::row::StoredRow;
use tito_core::{BoxError, Transaction};

use super::lost::lost_of;
use super::stored::Stored;
use crate::domain::{Evolver, Snapshot};
use crate::error::{EventStoreError, Result};
use crate::keys;
use crate::log::{Head, Tail};
use crate::pattern::Pattern;
use crate::select::Select;
use crate::store::EventStore;

/// More snapshots of one model than this are not looked at. Two are kept, and a few more may be left for a while where
/// programs of several versions write at once.
pub(super) const MOST_VERSIONS: usize = 16;

/// Where a model begins to be folded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Start {
    /// The sequence after which it does.
    pub(crate) after: u64,
    /// After how many events a snapshot is taken of it, if any is.
    pub(crate) every: Option<u64>,
    /// Whether one is due however few events there are: the model began with one of an older version, or what is stored
    /// can't be restored.
    pub(crate) is_due: bool,
    /// The model's name, if it must lack nothing that is dropped from here on, before it was read.
    pub(crate) whole: Option<String>,
    /// How often something of the store was erased by then: what was folded may have been, if it was more often since.
    pub(crate) erasures: u64,
}

/// A snapshot's key and value.
type Row = (Vec<u8>, Vec<u8>);

/// What a model says of itself.
struct Asked {
    name: String,
    version: u32,
    every: u64,
    is_new: bool,
}

/// From which snapshots a selection can be folded on.
struct Fitting {
    /// The last sequence that may have been dropped of it.
    lost: u64,
    /// The last sequence that is selected.
    end: Option<u64>,
}

impl Fitting {
    /// Whether a model that was folded up to a sequence, 0 if by nothing yet, can be folded on.
    fn has(&self, sequence: u64) -> bool {
        let end = self.end.unwrap_or(u64::MAX);
        sequence <= end && sequence >= self.lost.min(end)
    }
}

impl EventStore {
    /// Makes a model what its latest snapshot of a selection says, and tells where to go on. A model without snapshots
    /// begins where the selection does.
    ///
    /// # Errors
    /// [`EventStoreError::EventsDropped`], and [`EventStoreError::Snapshot`] where that would be right but for a
    /// snapshot that can't be restored.
    pub(crate) async fn start<M: Evolver>(&self, model: &mut M, select: &Select) -> Result<Start> {
        let beginning = Start { after: select.begin(), ..Start::default() };
        let (name, version, every, is_new) = match model.as_snapshot() {
            Some(model) if select.begin() == 0 => (model.name(), model.version(), model.every(), model.is_new()),
            _ => return Ok(beginning),
        };
        let tx = self.database().begin().await?;
        let asked = Asked { name, version, every, is_new };
        let whole = Some(asked.name.clone()).filter(|_| is_new && !select.begins_with_kept());
        let start = self.start_in(&tx, model, select, asked).await;
        tx.rollback().await;
        start.map(|start| Start { whole: whole.filter(|_| start.every.is_some()), ..start })
    }

    async fn start_in<M: Evolver>(
        &self,
        tx: &Transaction,
        model: &mut M,
        select: &Select,
        Asked { name, version, every, is_new }: Asked,
    ) -> Result<Start> {
        let patterns = select.patterns()?;
        let filters = filters(&patterns);
        let tail_key = keys::log_tail(self.id());
        let own_key = keys::log_snapshot_version(self.id(), &name, &filters, version);
        let old_key = keys::log_snapshot(self.id(), &name, &filters);
        let head_key = keys::log_head(self.id());
        let mut asked_for = vec![tail_key.clone(), head_key.clone()];
        if is_new {
            asked_for.extend([own_key.clone(), old_key.clone()]);
        }
        let mut values = tx.batch_get(asked_for).await?.into_iter();
        // That a store was deleted is found out by whoever reads its events.
        let (Some(tail), Some(head)) = (values.next().flatten(), values.next().flatten()) else {
            return Ok(Start::default());
        };
        let erasures = Head::decode(&head_key, &head)?.erasures;
        let noted = |start: Start| Start { erasures, ..start };
        let (own, old) = (values.next().flatten(), values.next().flatten());
        let lost = lost_of(tx, self.id(), &patterns, Tail::decode(&tail_key, &tail)?).await?;
        let fitting = Fitting { lost: lost.iter().copied().max().unwrap_or(0), end: select.end() };
        let dropped =
            |model| EventStoreError::EventsDropped { model, selection: filters.clone(), dropped: fitting.lost };
        if !is_new {
            let lacks = |(pattern, lost): (&Pattern, &u64)| {
                pattern.entity().is_some_and(|(of_type, id)| model.lacks(&format!("{of_type}.{id}"), *lost))
            };
            let lacks_some = patterns.iter().zip(&lost).any(lacks) && !select.begins_with_kept();
            return if lacks_some { Err(dropped(name)) } else { Ok(noted(Start::default())) };
        }

        let mut failed = None;
        let own: Vec<Row> = own.into_iter().map(|value| (own_key.clone(), value)).collect();
        if let Some(start) = restore(model, &own, &fitting, version, &mut failed) {
            return Ok(noted(start));
        }
        let range = keys::log_snapshot_versions(self.id(), &name, &filters);
        let mut others = tx.scan_reverse(range, MOST_VERSIONS).await?;
        others.retain(|(key, _)| *key != own_key);
        others.extend(old.map(|value| (old_key, value)));
        others.sort_by_key(|(key, value)| Reverse(Stored::decode(key, value).map_or(0, |stored| stored.version)));
        if let Some(start) = restore(model, &others, &fitting, version, &mut failed) {
            return Ok(noted(start));
        }

        if model.as_snapshot().is_some_and(|model| !model.is_new()) {
            // Another task was first with a shared model.
            return Ok(noted(Start::default()));
        }
        let begins_without = fitting.has(0) || select.begins_with_kept();
        match failed {
            Some(source) if !begins_without => {
                Err(EventStoreError::Snapshot { model: name, operation: "read", source: source.into() })
            }
            None if !begins_without => Err(dropped(name)),
            failed => {
                if let Some(error) = &failed {
                    let store = self.name();
                    let log = || tracing::warn!(store, model = name, %error, "a snapshot can't be read, folding anew");
                    self.logger().with(log);
                }
                Ok(Start { every: Some(every), is_due: failed.is_some(), erasures, ..Start::default() })
            }
        }
    }
}

/// The first of some snapshots that fits and can be restored.
fn restore<M: Evolver>(
    model: &mut M,
    rows: &[Row],
    fitting: &Fitting,
    version: u32,
    failed: &mut Option<BoxError>,
) -> Option<Start> {
    let model = model.as_snapshot()?;
    for (key, value) in rows {
        let restored = match Stored::decode(key, value) {
            // One of a newer program is not for this one.
            Ok(stored) if stored.version > version || !fitting.has(stored.sequence) => continue,
            Ok(stored) => restore_one(model, version, stored),
            Err(error) => Err(error.into()),
        };
        match restored {
            Ok(Some(start)) => return Some(start),
            Ok(None) => {}
            Err(error) => {
                failed.get_or_insert(error);
            }
        }
    }
    None
}

fn restore_one(model: &mut dyn Snapshot, version: u32, stored: Stored<'_>) -> Result<Option<Start>, BoxError> {
    let is_due = stored.version < version;
    if is_due {
        let upgraded = model
            .upgrade(stored.version, stored.state)
            .map_err(|error| format!("upgrading it from version {}: {error}", stored.version))?;
        let Some(state) = upgraded else { return Ok(None) };
        model.restore(&state)?;
    } else {
        model.restore(stored.state)?;
    }
    Ok(Some(Start { after: stored.sequence, every: Some(model.every()), is_due, ..Start::default() }))
}

/// The filters as they are in keys.
pub(crate) fn filters(patterns: &[Pattern]) -> String {
    let shown: Vec<String> = patterns.iter().map(ToString::to_string).collect();
    shown.join(" ")
}
