//! How fast something goes over a database.

use tito_core::Database;

/// How long it rests beside writers for the time that it has worked.
const RESTS: u64 = 2;

/// Shorter rests are taken together, as timers are no finer than this by much.
const SHORTEST_REST_MILLIS: u64 = 5;

/// Keeps to a limit, and leaves most of the time to those who write.
///
/// What reads all of a database takes a processor and displaces what others have in their caches. So as long as this
/// process commits, it rests after its work, twice as long as that took. Where others have the storage, on a
/// cluster, only the limit holds.
pub(crate) struct Pace {
    database: Database,
    bytes_per_second: Option<u64>,
    /// By the monotonic clock, as all of these.
    began_millis: u64,
    /// Since when it works.
    resumed_millis: u64,
    /// How many commits there had been.
    commits: u64,
    owed_millis: u64,
}

impl Pace {
    pub(crate) fn new(database: &Database, bytes_per_second: Option<u64>) -> Self {
        let (now, commits) = (database.clock().monotonic_millis(), database.shared().commits());
        Self {
            database: database.clone(),
            bytes_per_second,
            began_millis: now,
            resumed_millis: now,
            commits,
            owed_millis: 0,
        }
    }

    /// Waits until so many bytes may have gone through since the beginning, and writers had their share of the time.
    /// Ends early when the database is closed.
    pub(crate) async fn wait_for(&mut self, bytes: u64) {
        let now = self.database.clock().monotonic_millis();
        self.note_work(now);
        let rested = if self.owed_millis < SHORTEST_REST_MILLIS { now } else { now.saturating_add(self.owed_millis) };
        let until = rested.max(self.allowed_at(bytes));
        if until > now {
            tokio::select! {
                () = self.database.clock().wait_until_monotonic(until) => {}
                // The next read says so.
                _ = self.database.closed() => {}
            }
        }
        self.resumed_millis = self.database.clock().monotonic_millis();
        // Whatever it waited for, it was a rest.
        self.owed_millis = self.owed_millis.saturating_sub(self.resumed_millis.saturating_sub(now));
    }

    /// Rests are owed for work beside which others have committed, or during the rest before it.
    fn note_work(&mut self, now: u64) {
        let commits = self.database.shared().commits();
        if commits != self.commits && self.database.is_only_writer() {
            self.owed_millis += now.saturating_sub(self.resumed_millis).saturating_mul(RESTS);
        }
        self.commits = commits;
    }

    /// When so many bytes may have gone through.
    fn allowed_at(&self, bytes: u64) -> u64 {
        let Some(rate) = self.bytes_per_second else { return 0 };
        let millis = u128::from(bytes) * 1_000 / u128::from(rate);
        self.began_millis.saturating_add(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}
