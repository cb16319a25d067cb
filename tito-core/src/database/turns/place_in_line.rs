//! The turns of one transaction.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::sites::Site;
use super::table::{Entered, Ticket, Turns};

/// How long a run waits for its turns in all before it goes on without.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A commit of more keys than this takes no turns: for large transactions they would cost more than they spare.
const MOST_FREE: usize = 64;

tokio::task_local! {
    /// Whether the running task is within the closure of a transaction that holds turns.
    static IS_WITHIN_TURN: bool;
}

/// The keys that a transaction has lost, and the turns that it holds on them. Dropping it gives all of them back.
pub(in crate::database) struct PlaceInLine<'a> {
    turns: &'a Turns,
    site: Site,
    /// The key whose turn it took before its first run.
    expected: Option<Vec<u8>>,
    /// Drawn once it has lost a key, and kept over all its runs, so that it becomes the oldest.
    ticket: Option<Ticket>,
    lost: BTreeSet<Vec<u8>>,
    /// Keys whose turns it holds or waits for.
    entered: BTreeSet<Vec<u8>>,
    /// Whether it is within a closure that holds turns: waiting there would be waiting for itself.
    is_within_turn: bool,
}

impl<'a> PlaceInLine<'a> {
    pub(in crate::database) fn new(turns: &'a Turns, site: Site) -> Self {
        let is_within_turn = IS_WITHIN_TURN.try_with(|is_within| *is_within).unwrap_or(false);
        let (lost, entered) = (BTreeSet::new(), BTreeSet::new());
        Self { turns, site, expected: None, ticket: None, lost, entered, is_within_turn }
    }

    /// Before the first run: takes the turn on the key that transactions of this place in the program are known to
    /// lose.
    pub(in crate::database) async fn take_expected(&mut self) {
        if self.is_within_turn {
            return;
        }
        if let Some(key) = self.turns.sites.expected(self.site) {
            self.expected = Some(key.clone());
            self.take_all([key]).await;
        }
    }

    /// Notes what a run is about to commit.
    pub(in crate::database) fn is_right(&mut self, has_written: impl FnOnce(&[u8]) -> bool) {
        if self.expected.take().is_some_and(|key| !has_written(&key)) {
            self.turns.sites.was_wrong(self.site);
        }
    }

    /// Runs a closure of the transaction.
    pub(in crate::database) async fn scope<F: Future>(&self, run: F) -> F::Output {
        IS_WITHIN_TURN.scope(self.is_within_turn || !self.entered.is_empty(), run).await
    }

    /// Before a commit that writes or locks these keys: those that are somebody else's turn, where one of the two would
    /// lose. Keys that it has waited for already don't count.
    ///
    /// If a commit is costly, it takes the free turns, so that no other commit is sent meanwhile.
    pub(in crate::database) fn taken<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]>,
        is_costly: bool,
    ) -> Vec<Vec<u8>> {
        if self.is_within_turn || (self.turns.is_empty() && !is_costly) {
            return Vec::new();
        }
        let keys: Vec<&[u8]> = keys.filter(|key| !self.lost.contains(*key)).collect();
        if !is_costly || keys.len() > MOST_FREE {
            return self.turns.held_by_others(&keys, self.ticket);
        }
        let ticket = *self.ticket.get_or_insert_with(|| self.turns.ticket());
        let taken = self.turns.take_free(&keys, ticket);
        if taken.is_empty() {
            self.entered.extend(keys.into_iter().map(<[u8]>::to_vec));
        }
        taken
    }

    /// Whether it would have to wait for one of these keys.
    pub(in crate::database) fn has_to_wait(&self, keys: &[Vec<u8>]) -> bool {
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        !self.is_within_turn && !self.turns.held_by_others(&keys, self.ticket).is_empty()
    }

    /// Takes the turns on all keys that the transaction has lost, including those lost just now, and says whether it
    /// holds a new one. It goes on without those that are not granted in time.
    ///
    /// Whoever waits for a key holds no turn on a later one, so no two wait for each other.
    pub(in crate::database) async fn take(&mut self, lost: Vec<Vec<u8>>) -> bool {
        if self.is_within_turn {
            return false;
        }
        self.turns.sites.lost(self.site, &lost);
        self.take_all(lost).await
    }

    async fn take_all(&mut self, keys: impl IntoIterator<Item = Vec<u8>>) -> bool {
        let ticket = *self.ticket.get_or_insert_with(|| self.turns.ticket());
        self.lost.extend(keys);
        let until = Instant::now() + LONGEST_WAIT;
        let mut is_new = false;
        for key in &self.lost {
            let is_granted = match self.turns.enter(key, ticket) {
                Entered::Granted => true,
                Entered::Waiting(granted) => {
                    let later = self.entered.split_off(key);
                    self.entered.insert(key.clone());
                    later.iter().filter(|later| *later != key).for_each(|later| self.turns.leave(later, ticket));
                    is_new = true;
                    self.turns.sites.waited(self.site);
                    wait(self.turns, key, ticket, granted, until).await
                }
            };
            if is_granted {
                is_new |= self.entered.insert(key.clone());
            } else {
                self.entered.remove(key);
            }
        }
        is_new && !self.entered.is_empty()
    }
}

/// Waits until a turn is granted, and says whether it was.
async fn wait(turns: &Turns, key: &[u8], ticket: Ticket, mut granted: oneshot::Receiver<()>, until: Instant) -> bool {
    loop {
        let ends_at = turns.ends_at(key).unwrap_or(until);
        if let Ok(granted) = timeout_at(ends_at.min(until), &mut granted).await {
            return granted.is_ok();
        }
        if Instant::now() >= until {
            // A turn that was granted in the meantime is given back.
            turns.leave(key, ticket);
            return false;
        }
        turns.pass_on_overdue(key);
    }
}

impl Drop for PlaceInLine<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        self.entered.iter().for_each(|key| self.turns.leave(key, ticket));
    }
}
