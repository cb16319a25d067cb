//! Which entities are erased.

use tito_core::database::Walk;
use tito_core::keys::KeyRange;
use tito_core::{Result as CoreResult, Transaction};

use crate::error::{EventStoreError, Result};
use crate::keys;
use crate::pattern::Pattern;

/// The entities that a pattern selects.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pattern: Pattern,
}

impl Target {
    /// # Errors
    /// [`EventStoreError::PatternInvalid`], also for one that names an event type: an entity is erased as a whole.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let pattern: Pattern = text.parse()?;
        if let Some(event_type) = pattern.event_type() {
            let reason =
                format!("entities are erased with all of their events, not with those of the type {event_type}");
            return Err(EventStoreError::PatternInvalid { pattern: text.to_string(), reason });
        }
        Ok(Self { pattern })
    }

    pub(super) fn has(&self, entity_type: &str, id: &str) -> bool {
        self.pattern.matches(entity_type, id, "")
    }

    /// The types that the entities are of: the one that is named, or all that there are.
    pub(super) async fn types(&self, tx: &Transaction, store: u64) -> CoreResult<Vec<String>> {
        if let Some(entity_type) = self.pattern.entity_type() {
            return Ok(vec![entity_type.to_string()]);
        }
        let types = Walk::over(keys::log_last_of_types(store)).rest_in(tx).await?;
        Ok(types.iter().filter_map(|(key, _)| keys::parse_log_type(key)).collect())
    }

    /// Their events of one type of entity, among those of their entities.
    pub(super) fn events(&self, store: u64, entity_type: &str) -> KeyRange {
        keys::log_entity_events(store, entity_type, self.pattern.id())
    }

    /// What is noted of the last sequences of those of one type.
    pub(super) fn lasts(&self, store: u64, entity_type: &str) -> [KeyRange; 2] {
        match self.pattern.id() {
            // That key alone.
            Some(id) => {
                [keys::log_last_of_entity(store, entity_type, id), keys::log_gone_of_entity(store, entity_type, id)]
                    .map(|key| KeyRange::new(key.clone(), [key, vec![0]].concat()))
            }
            None => keys::log_lasts_of_entities(store, entity_type),
        }
    }

    /// Whether a snapshot, by the filters in its key, can be of one of them. One whose filters can't be read can.
    pub(super) fn is_in_snapshot(&self, key: &[u8]) -> bool {
        let Some((_, filters)) = keys::parse_log_snapshot(key) else { return true };
        filters.split(' ').any(|filter| filter.parse().map_or(true, |filter| self.meets(&filter)))
    }

    fn meets(&self, other: &Pattern) -> bool {
        let meet = |one: Option<&str>, other: Option<&str>| one.is_none() || other.is_none() || one == other;
        meet(self.pattern.entity_type(), other.entity_type()) && meet(self.pattern.id(), other.id())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn snapshots_of_what_may_be_erased_are_known_by_their_filters() {
        for (target, filters, is_in) in [
            ("account.17", "account.17.*", true),
            ("account.17", "account.17.opened", true),
            ("account.17", "account.18.*", false),
            ("account.17", "account.18.* account.*.closed", true),
            ("account.17", "*.*.*", true),
            ("account.17", "*.17.*", true),
            ("account.17", "*.18.*", false),
            ("account.17", "account.170.*", false),
            ("account", "account.18.*", true),
            ("*.17", "account.18.*", false),
            ("*", "account.18.*", true),
            ("account.17", "not a pattern..", true),
        ] {
            let target_ = Target::parse(target).unwrap();
            for key in [keys::log_snapshot(7, "m:1", filters), keys::log_snapshot_version(7, "m:1", filters, 3)] {
                assert_eq!(target_.is_in_snapshot(&key), is_in, "{target} {filters}");
            }
        }
        assert!(Target::parse("account.17.opened").is_err());
        assert!(Target::parse("a.b.c.d").is_err());
    }
}
