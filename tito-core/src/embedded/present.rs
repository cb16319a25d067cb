//! What time it is: the monotonic clock's time plus an offset that follows the wall clock once a change there lasts.

use crate::clock::Clock;
use crate::timestamp::{Now, Timestamp};

/// How long the wall clock has to differ from the present before it is followed.
const HELD_FOR: u64 = 10_000;

/// How many milliseconds count as no difference: the two clocks are read one after the other.
const TOLERANCE: u64 = 10;

/// The present of the engine. A wall clock that is wrong for a moment changes nothing; one that was set for good is
/// followed when it has differed for [`HELD_FOR`].
#[derive(Debug)]
pub(super) struct Present {
    /// How far ahead of the monotonic clock it is, in milliseconds.
    ahead: i64,
    /// The last timestamp before that was changed.
    since: Timestamp,
    differing: Option<Differing>,
}

/// A wall clock that differs.
#[derive(Clone, Copy, Debug)]
struct Differing {
    ahead: i64,
    first_seen: u64,
}

impl Present {
    /// Begins with what the wall clock shows.
    pub(super) fn of(clock: &dyn Clock) -> Self {
        let (_, ahead) = read(clock);
        Self { ahead, since: Timestamp::ZERO, differing: None }
    }

    /// The present, where `last` is the last timestamp that was handed out.
    pub(super) fn now(&mut self, clock: &dyn Clock, last: Timestamp) -> Now {
        let (monotonic, ahead) = read(clock);
        self.look_at(monotonic, ahead, last);
        let millis = i64::try_from(monotonic).unwrap_or(i64::MAX).saturating_add(self.ahead);
        Now::set_after(u64::try_from(millis).unwrap_or(0), self.since)
    }

    fn look_at(&mut self, monotonic: u64, ahead: i64, last: Timestamp) {
        if self.ahead.abs_diff(ahead) <= TOLERANCE {
            if self.differing.take().is_some() {
                tracing::info!("the machine's clock shows the database's time again");
            }
            return;
        }
        let difference_millis = ahead.saturating_sub(self.ahead);
        let known = self.differing.filter(|known| known.ahead.abs_diff(ahead) <= TOLERANCE);
        let Some(known) = known else {
            tracing::warn!(
                difference_millis,
                "the machine's clock differs from the database's time, which follows it if that lasts for {HELD_FOR} ms"
            );
            self.differing = Some(Differing { ahead, first_seen: monotonic });
            return;
        };
        if monotonic.saturating_sub(known.first_seen) >= HELD_FOR {
            tracing::warn!(difference_millis, "the database's time was set, as the machine's clock has been");
            *self = Self { ahead, since: last, differing: None };
        }
    }
}

/// The monotonic clock, and how far ahead of it the wall clock is.
fn read(clock: &dyn Clock) -> (u64, i64) {
    let (monotonic, wall) = (clock.monotonic_millis(), clock.now_millis());
    let signed = |millis| i64::try_from(millis).unwrap_or(i64::MAX);
    (monotonic, signed(wall).saturating_sub(signed(monotonic)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: Timestamp = Timestamp::from_millis(7);

    /// What the present is when the clocks show this.
    fn at(present: &mut Present, monotonic: u64, wall: u64) -> u64 {
        let ahead = wall as i64 - monotonic as i64;
        present.look_at(monotonic, ahead, LAST);
        (monotonic as i64 + present.ahead) as u64
    }

    fn present(ahead: i64) -> Present {
        Present { ahead, since: Timestamp::ZERO, differing: None }
    }

    #[test]
    fn a_wall_clock_that_is_wrong_for_less_than_ten_seconds_changes_nothing() {
        let mut present = present(1_000_000);
        for wrong in [86_400_000, 10_000_000_000_000, -500_000] {
            for passed in 0..=9_999 {
                let wall = 1_000_000 + passed as i64 + wrong;
                assert_eq!(at(&mut present, passed, wall as u64), 1_000_000 + passed);
            }
            assert_eq!(at(&mut present, 10_000, 1_010_000), 1_010_000);
        }
        assert_eq!(present.since, Timestamp::ZERO);
    }

    #[test]
    fn a_wall_clock_that_was_set_for_good_is_followed_after_ten_seconds() {
        for set in [3_600_000, -3_600_000_i64, 11, -11] {
            let mut present = present(10_000_000);
            let wall = |passed: u64| (10_000_000 + passed as i64 + set) as u64;
            assert_eq!(at(&mut present, 5, wall(5)), 10_000_005);
            assert_eq!(at(&mut present, 10_004, wall(10_004)), 10_010_004);
            assert_eq!(at(&mut present, 10_005, wall(10_005)), wall(10_005));
            assert_eq!(present.since, LAST, "what came before is told apart");
            assert_eq!(at(&mut present, 10_006, wall(10_006)), wall(10_006));
        }
    }

    #[test]
    fn a_wall_clock_that_is_set_again_and_again_is_followed_when_it_stays() {
        let mut present = present(1_000_000);
        for step in 1..20_u64 {
            assert_eq!(at(&mut present, step * 6_000, 2_000_000 * step), 1_000_000 + step * 6_000);
        }
        assert_eq!(at(&mut present, 120_000, 9_000_000), 1_120_000);
        assert_eq!(at(&mut present, 130_000, 9_010_000), 9_010_000);
    }

    #[test]
    fn what_two_readings_can_differ_by_is_no_difference() {
        let mut present = present(1_000_000);
        for passed in 0..30_000 {
            at(&mut present, passed, 1_000_000 + passed + passed % 11);
        }
        assert!(present.differing.is_none() && present.ahead == 1_000_000);
    }

    #[test]
    fn no_clock_is_too_odd() {
        #[derive(Debug)]
        struct Odd(u64, u64);
        impl Clock for Odd {
            fn now_millis(&self) -> u64 {
                self.0
            }
            fn monotonic_millis(&self) -> u64 {
                self.1
            }
            fn wait_until_monotonic(&self, _: u64) -> futures::future::BoxFuture<'static, ()> {
                Box::pin(std::future::ready(()))
            }
        }
        let all = [0, 1, 1 << 46, i64::MAX as u64, u64::MAX];
        for (wall, monotonic) in all.into_iter().flat_map(|wall| all.map(|monotonic| (wall, monotonic))) {
            let mut present = Present::of(&Odd(wall, monotonic));
            present.now(&Odd(monotonic, wall), LAST);
            present.now(&Odd(0, monotonic), LAST);
            present.now(&Odd(0, u64::MAX), LAST);
        }
    }
}
