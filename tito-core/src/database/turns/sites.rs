//! Which keys transactions of one place in the program have lost lately: the next ones will write the same key.
//!
//! A first run that meets a crowd reads for nothing, and learns only at its end that it has to wait. If the last
//! transactions begun by one line of the program have all lost one key, the next one takes the turn on it before it
//! begins.

use std::collections::HashMap;
use std::panic::Location;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Where a transaction is begun.
pub(in crate::database) type Site = &'static Location<'static>;

/// How often a key has to be lost before the next transaction expects it.
const ENOUGH: u32 = 4;

/// How long a key is expected after somebody has waited for it or lost it.
const LASTS: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Sites {
    /// How many there are, so that transactions don't take the lock while there are none.
    known: AtomicUsize,
    lost: Mutex<HashMap<Site, Lost>>,
}

struct Lost {
    key: Vec<u8>,
    times: u32,
    last: Instant,
}

impl Sites {
    /// The key that a transaction of this place will write, if the last ones have lost it.
    pub(super) fn expected(&self, site: Site) -> Option<Vec<u8>> {
        if self.known.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut sites = self.lock();
        sites.retain(|_, lost| lost.last.elapsed() < LASTS);
        self.known.store(sites.len(), Ordering::Release);
        let lost = sites.get(site).filter(|lost| lost.times >= ENOUGH)?;
        Some(lost.key.clone())
    }

    /// Notes which keys a transaction has lost.
    pub(super) fn lost(&self, site: Site, keys: &[Vec<u8>]) {
        let Some(first) = keys.first() else { return };
        let mut sites = self.lock();
        let last = Instant::now();
        let lost = sites.entry(site).or_insert_with(|| Lost { key: first.clone(), times: 0, last });
        if keys.contains(&lost.key) {
            lost.times = (lost.times + 1).min(2 * ENOUGH);
            lost.last = last;
        } else if lost.times > 1 {
            lost.times -= 1;
        } else {
            *lost = Lost { key: first.clone(), times: 1, last };
        }
        self.known.store(sites.len(), Ordering::Release);
    }

    /// Notes that a transaction which expected a key has waited for it.
    pub(super) fn waited(&self, site: Site) {
        if let Some(lost) = self.lock().get_mut(site) {
            lost.last = Instant::now();
        }
    }

    /// Notes that a transaction which expected a key did not write it.
    pub(super) fn was_wrong(&self, site: Site) {
        self.lock().remove(site);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Site, Lost>> {
        // Nothing that holds the lock calls code that could panic half-way through a change.
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[&str]) -> Vec<Vec<u8>> {
        keys.iter().map(|key| key.as_bytes().to_vec()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_was_lost_several_times_in_a_row_is_expected() {
        let (sites, site) = (Sites::default(), Location::caller());
        for _ in 0..ENOUGH {
            assert_eq!(sites.expected(site), None);
            sites.lost(site, &keys(&["a", "hot"]));
        }
        assert_eq!(sites.expected(site), Some(b"a".to_vec()));
        assert_eq!(sites.expected(Location::caller()), None, "of another place nothing is known");
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_several_keys_is_not_expected() {
        let (sites, site) = (Sites::default(), Location::caller());
        for round in 0..100 {
            sites.lost(site, &keys(&[["a", "b", "c"][round % 3]]));
            assert_eq!(sites.expected(site), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_expected_while_there_is_a_crowd_and_right_only() {
        let (sites, site) = (Sites::default(), Location::caller());
        let crowd = || (0..ENOUGH).for_each(|_| sites.lost(site, &keys(&["hot"])));
        crowd();
        sites.was_wrong(site);
        assert_eq!(sites.expected(site), None);
        crowd();
        for _ in 0..5 {
            tokio::time::advance(LASTS / 2).await;
            assert_eq!(sites.expected(site), Some(b"hot".to_vec()));
            sites.waited(site);
        }
        tokio::time::advance(LASTS).await;
        assert_eq!(sites.expected(site), None);
        assert_eq!(sites.known.load(Ordering::Relaxed), 0, "nothing is kept");
    }
}
