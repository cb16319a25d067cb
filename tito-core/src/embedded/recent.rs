//! Which keys were committed lately, to find conflicts.

use std::collections::VecDeque;

use super::hash::{HashedMap, KeyHash};

/// For each key written or locked lately, the last group that did so. Groups are counted from 1. Two keys with one hash
/// count as one: a false conflict, which costs a replay.
#[derive(Default)]
pub(super) struct RecentCommits {
    last_group: HashedMap<u64>,
    by_age: VecDeque<(u64, KeyHash)>,
}

impl RecentCommits {
    /// Whether a key was committed after group `seen`.
    pub(super) fn is_newer_than(&self, key: KeyHash, seen: u64) -> bool {
        self.last_group.get(&key).is_some_and(|&group| group > seen)
    }

    /// Notes that `group`, which is the newest, committed a key.
    pub(super) fn note(&mut self, key: KeyHash, group: u64) {
        self.last_group.insert(key, group);
        self.by_age.push_back((group, key));
    }

    /// Forgets all groups up to `group`: no live transaction began before it.
    pub(super) fn prune(&mut self, group: u64) {
        while let Some(&(oldest, key)) = self.by_age.front() {
            if oldest > group {
                return;
            }
            self.by_age.pop_front();
            if self.last_group.get(&key) == Some(&oldest) {
                self.last_group.remove(&key);
            }
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.last_group.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::hash::hash_key;

    #[test]
    fn a_key_is_newer_than_the_groups_before_its_last_commit() {
        let mut recent = RecentCommits::default();
        let (a, b) = (hash_key(b"a"), hash_key(b"b"));
        recent.note(a, 1);
        recent.note(b, 2);
        recent.note(a, 3);
        assert!(recent.is_newer_than(a, 2));
        assert!(!recent.is_newer_than(a, 3));
        assert!(recent.is_newer_than(b, 1));
        assert!(!recent.is_newer_than(b, 2));
        assert!(!recent.is_newer_than(hash_key(b"c"), 0));
    }

    #[test]
    fn pruning_forgets_old_groups_only() {
        let mut recent = RecentCommits::default();
        let (a, b) = (hash_key(b"a"), hash_key(b"b"));
        recent.note(a, 1);
        recent.note(b, 1);
        recent.note(a, 2);
        recent.prune(1);
        assert!(recent.is_newer_than(a, 1), "written again after the pruned group");
        assert_eq!(recent.len(), 1);
        recent.prune(2);
        assert_eq!(recent.len(), 0);
    }
}
