//! How old the heartbeats of members are, as a member sees them, whatever becomes of the database's time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::HashSet;
use tito_core::{Database, Now, Timestamp};
use uuid::Uuid;

use super::member::MemberRow;

/// What a member remembers of the heartbeats of others. A heartbeat that it has no use for by its time, since it is of the
/// future or the database's time was set meanwhile, ages from when it was first seen: its member is outlived like any
/// other.
#[derive(Default)]
pub(super) struct Sightings {
    of: HashMap<Uuid, Sighting>,
    /// The steady time of the latest look.
    since: Option<Timestamp>,
}

struct Sighting {
    heartbeat: u64,
    /// When it was first seen, by the monotonic clock.
    seen_millis: u64,
    /// The steady time in which it is known to have been written.
    since: Option<Timestamp>,
}

impl Sightings {
    /// How many milliseconds ago a member gave its heartbeat, seen at `now` and when the monotonic clock showed this.
    pub(super) fn age_millis(&mut self, id: Uuid, row: &MemberRow, now: Now, clock_millis: u64) -> u64 {
        let known = self.of.get(&id).filter(|known| known.heartbeat == row.heartbeat);
        let age = now.millis().checked_sub(row.heartbeat);
        let Some(known) = known else {
            if age.is_none() {
                let ahead_millis = row.heartbeat - now.millis();
                tracing::warn!(member = %id, ahead_millis, "a heartbeat of the future, which counts as one of now");
            }
            let is_steady = self.since.is_none_or(|since| since == now.since());
            let since = (is_steady && age.is_some()).then_some(now.since());
            self.of.insert(id, Sighting { heartbeat: row.heartbeat, seen_millis: clock_millis, since });
            return age.filter(|_| is_steady).unwrap_or(0);
        };
        match age.filter(|_| known.since == Some(now.since())) {
            Some(age) => age,
            None => clock_millis.saturating_sub(known.seen_millis),
        }
    }

    /// Ends a look at all members, of which there are these.
    pub(super) fn end_look(&mut self, now: Now, members: &HashSet<Uuid>) {
        self.since = Some(now.since());
        self.of.retain(|id, _| members.contains(id));
    }
}

/// The members of this process. The only process that has a database knows that all others are dead.
#[derive(Default)]
pub(super) struct OwnMembers(Mutex<HashSet<Uuid>>);

impl OwnMembers {
    fn lock(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(database: &Database, id: Uuid) {
        database.shared().value::<Self>().lock().insert(id);
    }

    pub(super) fn remove(database: &Database, id: Uuid) {
        database.shared().value::<Self>().lock().remove(&id);
    }
}

/// Whether a member is certain to be dead, as its process is.
pub(super) fn is_of_a_dead_process(database: &Database, id: Uuid) -> bool {
    database.is_only_writer() && !database.shared().value::<OwnMembers>().lock().contains(&id)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use tito_core::row::UnknownMembers;

    use super::*;

    const ID: Uuid = Uuid::from_u128(1);

    fn row(heartbeat: u64) -> MemberRow {
        let (queues, in_flight, unknown) = (BTreeSet::new(), BTreeMap::new(), UnknownMembers::default());
        MemberRow { queues, heartbeat, lease_millis: 15_000, started: 0, name: None, in_flight, unknown }
    }

    fn look(sightings: &mut Sightings, heartbeat: u64, now: Now, clock_millis: u64) -> u64 {
        let age = sightings.age_millis(ID, &row(heartbeat), now, clock_millis);
        sightings.end_look(now, &HashSet::from_iter([ID]));
        age
    }

    #[test]
    fn a_heartbeat_ages_by_the_databases_time() {
        let mut sightings = Sightings::default();
        assert_eq!(look(&mut sightings, 90_000, Now::from_millis(100_000), 7), 10_000);
        assert_eq!(look(&mut sightings, 90_000, Now::from_millis(104_000), 9), 14_000);
        assert_eq!(look(&mut sightings, 104_000, Now::from_millis(104_000), 9), 0);
    }

    #[test]
    fn a_heartbeat_of_the_future_is_outlived() {
        let mut sightings = Sightings::default();
        let day = 86_400_000;
        assert_eq!(look(&mut sightings, day, Now::from_millis(1_000), 5_000), 0);
        assert_eq!(look(&mut sightings, day, Now::from_millis(15_999), 19_999), 14_999);
        assert_eq!(look(&mut sightings, day, Now::from_millis(16_000), 20_000), 15_000);
    }

    #[test]
    fn a_heartbeat_from_before_time_was_set_ages_from_when_it_was_seen() {
        for heartbeat in [90_000, 99_000] {
            let mut sightings = Sightings::default();
            assert_eq!(look(&mut sightings, 90_000, Now::from_millis(90_000), 0), 0);
            let set = |millis| Now::set_after(millis, Timestamp::from_millis(100_000));
            let first = look(&mut sightings, heartbeat, set(86_400_000), 10_000);
            assert_eq!(first, if heartbeat == 90_000 { 10_000 } else { 0 });
            assert_eq!(look(&mut sightings, heartbeat, set(86_404_000), 14_000), first + 4_000);
        }
    }
}
