//! Which events of a store.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::pattern::Pattern;

/// A selection of events of a store: those that any of its patterns selects, after a sequence, up to a sequence.
///
/// ```
/// use tito_eventstore::Select;
///
/// let all = Select::all();
/// let deposits = Select::filter("account.*.deposited").or("account.*.withdrawn").after(1000).up_to(2000);
/// let one_account: Select = "account.17".into();
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Select {
    patterns: Vec<String>,
    after: u64,
    up_to: Option<u64>,
    kept: bool,
}

impl Select {
    /// All events.
    pub fn all() -> Self {
        Self::default()
    }

    /// The events that a [`Pattern`] selects: `type`, `type.id`, `type.id.event_type`, with `*` at any place. If it
    /// is wrong, the call that reads says so.
    pub fn filter(pattern: impl Into<String>) -> Self {
        Self::all().or(pattern)
    }

    /// And those that another pattern selects. After [`all`](Select::all) only these.
    pub fn or(mut self, pattern: impl Into<String>) -> Self {
        self.patterns.push(pattern.into());
        self
    }

    /// Only those after this sequence.
    pub fn after(mut self, sequence: u64) -> Self {
        self.after = sequence;
        self
    }

    /// Only those up to this sequence, itself included.
    pub fn up_to(mut self, sequence: u64) -> Self {
        self.up_to = Some(sequence);
        self
    }

    /// Deliberately begins with what the store has kept, even if a model with snapshots would need events that the
    /// limits have dropped and that no snapshot covers. Without this, that is the error
    /// [`EventsDropped`](crate::EventStoreError::EventsDropped). Other models always begin with what is kept.
    pub fn kept(mut self) -> Self {
        self.kept = true;
        self
    }

    pub(crate) fn begins_with_kept(&self) -> bool {
        self.kept
    }

    pub(crate) fn begin(&self) -> u64 {
        self.after
    }

    pub(crate) fn end(&self) -> Option<u64> {
        self.up_to
    }

    /// The patterns, each once; that of all events if there is none.
    pub(crate) fn patterns(&self) -> Result<Vec<Pattern>> {
        let patterns = self.patterns.iter().map(|pattern| pattern.parse()).collect::<Result<BTreeSet<Pattern>>>()?;
        Ok(if patterns.is_empty() { vec![Pattern::any()] } else { patterns.into_iter().collect() })
    }
}

impl From<&str> for Select {
    fn from(pattern: &str) -> Self {
        Self::filter(pattern)
    }
}

impl From<String> for Select {
    fn from(pattern: String) -> Self {
        Self::filter(pattern)
    }
}
