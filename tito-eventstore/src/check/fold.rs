//! One model, folded from its events and compared with its snapshots.

use std::error::Error;

use tito_core::panics;

use super::{New, StoreFault};
use crate::domain::{Evolver, Snapshot};
use crate::event::Event;

/// A snapshot that is stored.
pub(super) struct StoredState {
    pub(super) key: Vec<u8>,
    pub(super) sequence: u64,
    pub(super) state: Vec<u8>,
}

pub(super) struct Folding {
    model: Box<dyn Evolver + Send>,
    name: &'static str,
    new: New,
    /// Snapshots that it has not come to yet, the earliest first.
    ahead: Vec<StoredState>,
    /// The sequence after which it began.
    after: u64,
    has_failed: bool,
}

impl Folding {
    /// A model that is folded after a sequence.
    pub(super) fn new(model: Box<dyn Evolver + Send>, name: &'static str, new: New) -> Self {
        Self { model, name, new, ahead: Vec::new(), after: 0, has_failed: false }
    }

    /// The name and the version of its snapshots, if it has any.
    pub(super) fn snapshots(&mut self) -> Result<Option<(String, u32)>, String> {
        panics::caught(|| self.model.as_snapshot().map(|model| (model.name(), model.version())))
    }

    /// What it is to be compared with. Where events up to `lost` were dropped it begins with the latest snapshot that stands in
    /// for them, as the application does; false if there is none that does.
    pub(super) fn begin(&mut self, mut stored: Vec<StoredState>, lost: u64, faults: &mut Vec<StoreFault>) -> bool {
        stored.sort_by_key(|stored| stored.sequence);
        if lost > 0 {
            let Some(latest) = stored.pop().filter(|latest| latest.sequence >= lost) else { return false };
            let restored = panics::caught(|| self.model.as_snapshot().map(|model| model.restore(&latest.state)));
            let reason = match restored {
                Ok(Some(Err(error))) => Some(with_causes(&*error)),
                Ok(_) => None,
                Err(panic) => Some(format!("the model panicked: {panic}")),
            };
            if let Some(reason) = reason {
                faults.push(self.differs(latest, format!("it can't be restored: {reason}"), true));
                return false;
            }
            self.after = latest.sequence;
            stored.clear();
        }
        self.ahead = stored;
        true
    }

    /// Folds an event, after it was compared with the snapshots before it.
    pub(super) fn evolve(&mut self, event: &Event, faults: &mut Vec<StoreFault>, compared: &mut u64) {
        if self.has_failed || event.sequence() <= self.after {
            return;
        }
        self.compare(event.sequence() - 1, faults, compared);
        let evolved = match panics::caught(|| self.model.evolve(event)) {
            Ok(evolved) => evolved.map_err(|error| with_causes(&*error)),
            Err(panic) => Err(format!("it panicked: {panic}")),
        };
        if let Err(reason) = evolved {
            self.fail(event.sequence(), event.entity(), reason, faults);
        }
    }

    /// It can't go on by an event.
    pub(super) fn fail(&mut self, sequence: u64, entity: &str, reason: String, faults: &mut Vec<StoreFault>) {
        if sequence <= self.after || std::mem::replace(&mut self.has_failed, true) {
            return;
        }
        let (entity, model) = (entity.to_string(), self.name.to_string());
        faults.push(StoreFault::Fold { sequence, entity, model, reason });
    }

    /// Nothing more comes up to the last sequence of the store. Returns whether it was folded to the end.
    pub(super) fn finish(mut self, last: u64, faults: &mut Vec<StoreFault>, compared: &mut u64) -> bool {
        self.compare(last, faults, compared);
        if !self.has_failed {
            for ahead in std::mem::take(&mut self.ahead) {
                *compared += 1;
                faults.push(self.differs(ahead, format!("the store ends at {last}"), false));
            }
        }
        !self.has_failed
    }

    /// Compares it with the snapshots up to a sequence, up to which it was folded.
    fn compare(&mut self, up_to: u64, faults: &mut Vec<StoreFault>, compared: &mut u64) {
        while !self.has_failed && self.ahead.first().is_some_and(|next| next.sequence <= up_to) {
            let stored = self.ahead.remove(0);
            *compared += 1;
            let (model, new) = (&mut self.model, &self.new);
            let same = panics::caught(|| is_same(&mut **model, &mut *new(), &stored.state));
            let reason = match same {
                Ok(None) => continue,
                Ok(Some(reason)) => reason,
                Err(panic) => format!("the model panicked: {panic}"),
            };
            faults.push(self.differs(stored, reason, false));
        }
    }

    fn differs(&self, StoredState { key, sequence, .. }: StoredState, reason: String, is_needed: bool) -> StoreFault {
        StoreFault::Snapshot { key, sequence, model: self.name.to_string(), reason, is_needed }
    }
}

/// Why what was stored is not the model, if it is not: by its bytes, by those that it writes once it is restored, or by
/// what these say as JSON, whose members may come in any order.
fn is_same(folded: &mut dyn Evolver, restored: &mut dyn Evolver, stored: &[u8]) -> Option<String> {
    let save = |model: &mut dyn Snapshot| model.save().map_err(|error| with_causes(&*error));
    let folded = match save(folded.as_snapshot()?) {
        Ok(folded) => folded,
        Err(error) => return Some(format!("the model can't be written: {error}")),
    };
    if folded == stored {
        return None;
    }
    let model = restored.as_snapshot()?;
    if let Err(error) = model.restore(stored) {
        return Some(format!("it can't be restored: {}", with_causes(&*error)));
    }
    let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    match save(model) {
        Ok(restored) if restored == folded => None,
        Ok(restored) if json(&restored).is_some_and(|value| json(&folded) == Some(value)) => None,
        Ok(_) => Some("the state is another".to_string()),
        Err(error) => Some(format!("once restored, it can't be written: {error}")),
    }
}

/// An error with what has caused it.
pub(super) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors show their source themselves.
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
