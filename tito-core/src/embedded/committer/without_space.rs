//! Commits while the file system has no space.

use std::io;

use super::group::{Accepted, Outcome};
use super::{Committer, guarded};
use crate::embedded::storage::is_full;
use crate::embedded::store::{Admission, StoreResult};

impl Committer {
    /// Takes a group apart for which there is no space: transactions that free space go first, into the reserve kept
    /// for them, then as many of the others as fit into what there is. The file system is not asked for more again.
    pub(super) fn without_space(&mut self, group: Vec<Accepted>, error: io::Error, outcome: &mut Outcome) {
        if !is_full(&error) {
            return outcome.refused.push((group, error));
        }
        let (freeing, others): (Vec<Accepted>, Vec<Accepted>) =
            group.into_iter().partition(|accepted| self.frees_space(accepted));
        let mut refused = Vec::new();
        for (part, admission) in [(freeing, Admission::Freeing), (others, Admission::Ordinary)] {
            let (fitting, rest) = self.fitting(part, admission);
            refused.extend(rest);
            if fitting.is_empty() {
                continue;
            }
            match &outcome.lost {
                // Nothing can be appended any more.
                Some((_, lost)) => outcome.refused.push((fitting, io::Error::other(lost.to_string()))),
                None => {
                    let without = self.append(fitting, admission, outcome);
                    outcome.refused.extend(without);
                }
            }
        }
        outcome.refused.push((refused, error));
    }

    /// The transactions of a group that fit into the remaining space together, in their order, and the rest.
    fn fitting(&self, group: Vec<Accepted>, admission: Admission) -> (Vec<Accepted>, Vec<Accepted>) {
        let (mut writes, mut bytes) = (0, 0);
        group.into_iter().partition(|accepted| {
            let with = (writes + accepted.writes.len(), bytes + accepted.bytes);
            let fits = self.store.has_room(with.0, with.1, admission);
            if fits {
                (writes, bytes) = with;
            }
            fits
        })
    }

    /// Whether a transaction deletes at least as many bytes of keys and values as it writes.
    fn frees_space(&self, accepted: &Accepted) -> bool {
        let (mut written, mut freed) = (0, 0);
        for (key, value) in &accepted.writes {
            let before: StoreResult<_> = guarded(|| self.latest.get(key));
            // What can't be read does not count as freed.
            freed += before.ok().flatten().map_or(0, |before| key.len() + before.len());
            written += value.as_ref().map_or(0, |value| key.len() + value.len());
        }
        freed > 0 && freed >= written
    }
}
