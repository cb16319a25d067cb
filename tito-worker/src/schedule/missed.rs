//! Which firings are published when some were missed.

use serde::{Deserialize, Serialize};

use super::timetable::Timetable;

/// A firing that is later than this many seconds counts as missed: workers that are busy, restart or take over from one
/// another within that time miss nothing.
const GRACE: i64 = 60;

/// What happens to missed firings: those that no worker published within 60 seconds, for example because none was
/// running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Missed {
    /// They are skipped.
    Skip,
    /// The last of them is published, unless a later firing is due already that was not missed.
    #[default]
    Latest,
    /// Each of them is published, oldest first, with its own time in the header `tito-scheduled-at`. If there are more
    /// than [`Schedule::most_missed`](super::Schedule::most_missed), by default 1,000, only the last ones.
    All,
}

/// What is to be done about the firings that are due.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The firings to publish now, in Unix seconds, ascending.
    pub(super) publish: Vec<i64>,
    /// The firing after those, due or not; `None` if there is none.
    pub(super) next: Option<i64>,
    /// How many firings are passed over as too many were missed.
    pub(super) too_many: u64,
    /// How many of those before `next` were missed, be they published now or not.
    pub(super) missed: u64,
}

impl Missed {
    /// The plan for a schedule whose next firing is `next`, which is due. At most `limit` firings are published now, and
    /// of those that were missed at most `most_missed` at all.
    pub(super) fn plan(self, timetable: &Timetable, next: i64, now: i64, limit: usize, most_missed: u64) -> Plan {
        let (mut following, mut too_many) = (self.first(timetable, next, now), 0);
        let first_in_time = now.saturating_sub(GRACE);
        if self == Self::All && next < first_in_time {
            let (first, passed_over) = timetable.last_of(next, first_in_time - 1, most_missed);
            (following, too_many) = (first, passed_over);
        }
        let mut publish = Vec::new();
        while let Some(firing) = following.filter(|firing| *firing <= now && publish.len() < limit) {
            publish.push(firing);
            following = timetable.next_after(firing);
        }
        let last_missed = following.map_or(i64::MAX, |following| following - 1).min(first_in_time - 1);
        let missed = if next <= last_missed { timetable.last_of(next, last_missed, 0).1 } else { 0 };
        Plan { publish, next: following, too_many, missed }
    }

    /// The first firing that is not passed over, due or not.
    fn first(self, timetable: &Timetable, next: i64, now: i64) -> Option<i64> {
        let in_time = now.saturating_sub(GRACE);
        if self == Self::All || next >= in_time {
            return Some(next);
        }
        let first_in_time = timetable.next_after(in_time - 1);
        match self {
            Self::Latest if first_in_time.is_none_or(|first| first > now) => Some(timetable.last_until(next, now)),
            _ => first_in_time,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use proptest::test_runner::Config;

    use super::*;
    use crate::schedule::recurrence::Recurrence;

    fn every(seconds: u64) -> Timetable {
        Timetable::new(&Recurrence::Every { seconds }, 0).unwrap()
    }

    fn plan(missed: Missed, seconds: u64, next: i64, now: i64) -> (Vec<i64>, Option<i64>) {
        let Plan { publish, next, .. } = missed.plan(&every(seconds), next, now, 100, u64::MAX);
        (publish, next)
    }

    #[test]
    fn a_firing_that_is_a_little_late_is_published_by_every_policy() {
        for missed in [Missed::Skip, Missed::Latest, Missed::All] {
            assert_eq!(plan(missed, 3600, 3600, 3600), (vec![3600], Some(7200)));
            assert_eq!(plan(missed, 3600, 3600, 3660), (vec![3600], Some(7200)));
            assert_eq!(plan(missed, 20, 1000, 1060), (vec![1000, 1020, 1040, 1060], Some(1080)));
        }
    }

    #[test]
    fn of_missed_firings_the_policy_chooses() {
        assert_eq!(plan(Missed::Skip, 3600, 3600, 3661), (vec![], Some(7200)));
        assert_eq!(plan(Missed::Skip, 3600, 3600, 36_010), (vec![36_000], Some(39_600)));
        assert_eq!(plan(Missed::Latest, 3600, 3600, 3661), (vec![3600], Some(7200)));
        assert_eq!(plan(Missed::Latest, 3600, 3600, 39_599), (vec![36_000], Some(39_600)));
        assert_eq!(plan(Missed::Latest, 3600, 3600, 36_060), (vec![36_000], Some(39_600)));
        assert_eq!(plan(Missed::All, 3600, 3600, 14_399), (vec![3600, 7200, 10_800], Some(14_400)));
    }

    #[test]
    fn a_plan_is_bounded_and_the_next_one_goes_on() {
        let table = every(1);
        let first = Missed::All.plan(&table, 1, 1000, 100, u64::MAX);
        assert_eq!((first.publish.len(), first.next), (100, Some(101)));
        let years = Missed::Latest.plan(&table, 1, 1_000_000_000, 100, 1);
        assert_eq!((years.publish.first(), years.publish.len()), (Some(&999_999_940), 61));
    }

    #[test]
    fn of_too_many_missed_firings_the_last_are_published() {
        let day = 86_400;
        let plan = |most, limit| Missed::All.plan(&every(2), 2, day, limit, most);
        let all = plan(1_000, usize::MAX);
        let late = (day - GRACE) / 2 - 1;
        assert_eq!(all.publish.len() as i64, 1_000 + GRACE / 2 + 1);
        assert_eq!((all.publish[0], all.too_many as i64), ((late - 999) * 2, late - 1_000));
        // A step of it leaves as many for the next.
        let step = plan(1_000, 100);
        let rest = Missed::All.plan(&every(2), step.next.unwrap(), day, usize::MAX, 1_000);
        assert_eq!((step.publish.len() + rest.publish.len(), rest.too_many), (all.publish.len(), 0));
        assert_eq!(plan(0, usize::MAX).publish.len() as i64, GRACE / 2 + 1, "what is late is not missed");
        assert_eq!(plan(u64::MAX, usize::MAX).too_many, 0);
    }

    proptest! {
        #![proptest_config(Config { cases: 500, failure_persistence: None, ..Config::default() })]

        #[test]
        fn over_any_walk_of_the_clock_all_firings_are_published_once(
            seconds in 1_u64..200,
            steps in prop::collection::vec(0_i64..1_000, 1..50),
            limit in 1_usize..20,
        ) {
            let table = every(seconds);
            let (mut next, mut now, mut published) = (Some(seconds as i64), 0, Vec::new());
            for step in steps {
                now += step;
                while let Some(due) = next.filter(|next| *next <= now) {
                    let plan = Missed::All.plan(&table, due, now, limit, u64::MAX);
                    published.extend(plan.publish);
                    next = plan.next;
                }
            }
            let expected: Vec<_> = (1..=now / seconds as i64).map(|n| n * seconds as i64).collect();
            prop_assert_eq!(published, expected);
        }

        #[test]
        fn whatever_the_policy_the_last_due_firing_is_published_if_it_is_in_time(
            seconds in 1_u64..5_000,
            late in 0_i64..20_000,
        ) {
            let due = seconds as i64;
            let now = due + late;
            let last = now / due * due;
            for missed in [Missed::Skip, Missed::Latest, Missed::All] {
                let Plan { publish, next, .. } = missed.plan(&every(seconds), due, now, usize::MAX, u64::MAX);
                prop_assert_eq!(next, Some(last + due));
                prop_assert!(publish.is_sorted());
                let is_in_time = now - last <= GRACE;
                prop_assert_eq!(publish.last() == Some(&last), is_in_time || missed != Missed::Skip);
            }
        }
    }
}
