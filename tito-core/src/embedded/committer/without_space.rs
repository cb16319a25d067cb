//! Commits while the file system has no space.

use std::io;

use super::{Accepted, Committer, Outcome, guarded};
use crate::embedded::storage::is_full;
use crate::embedded::store::{Admission, StoreResult};

impl Committer {
    /// Takes a group apart that there is no space for: those that make space go first, into what is kept for them, then
    /// each other one that still fits.
    pub(super) fn without_space(&mut self, group: Vec<Accepted>, error: io::Error, outcome: &mut Outcome) {
        if !is_full(&error) {
            return outcome.refused.push((group, error));
        }
        let was_alone = group.len() == 1;
        let (freeing, others): (Vec<Accepted>, Vec<Accepted>) =
            group.into_iter().partition(|accepted| self.frees_space(accepted));
        if !freeing.is_empty() {
            self.append_part(freeing, Admission::Freeing, outcome);
        }
        if was_alone {
            return outcome.refused.push((others, error));
        }
        for other in others {
            self.append_part(vec![other], Admission::Ordinary, outcome);
        }
    }

    fn append_part(&mut self, part: Vec<Accepted>, admission: Admission, outcome: &mut Outcome) {
        if let Some((_, lost)) = &outcome.lost {
            // Nothing can be appended any more.
            return outcome.refused.push((part, io::Error::other(lost.to_string())));
        }
        let refused = self.append(part, admission, outcome);
        outcome.refused.extend(refused);
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
