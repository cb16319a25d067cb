//! Whether less of a topic is to be kept than now, and how much would be deleted then.

use chrono::{DateTime, TimeDelta, Utc};
use tito_core::event::Topic;
use tito_worker::TitoQueue;

use crate::api::{Affected, Kept};
use crate::failure::Answer;

/// How many rows are read of each queue to say how much would be deleted: of those that are too old, and of all.
const COUNTED: usize = 400;

/// 0 stands for no bound where it is stored.
fn bound(stored: u64) -> u64 {
    if stored == 0 { u64::MAX } else { stored }
}

/// What is shortened, with what is to be kept from then on.
struct Shortened {
    history_seconds: Option<u64>,
    history_events: Option<u64>,
    letter_seconds: Option<u64>,
    letter_events: Option<u64>,
}

impl Shortened {
    fn of(topic: &Topic, kept: &Kept) -> Self {
        let letters = kept.dead_letters.unwrap_or_default();
        let fewer = |asked: Option<u64>, stored| asked.filter(|asked| *asked < bound(stored));
        Self {
            history_seconds: kept.history_seconds.filter(|seconds| *seconds < topic.history_seconds),
            history_events: fewer(kept.history_events.map(bound), topic.history_events),
            letter_seconds: fewer(letters.seconds, topic.dead_letter_seconds),
            letter_events: fewer(letters.events, topic.dead_letter_events),
        }
    }

    fn is_something(&self) -> bool {
        let Self { history_seconds, history_events, letter_seconds, letter_events } = self;
        [history_seconds, history_events, letter_seconds, letter_events].into_iter().any(Option::is_some)
    }
}

/// Whether something that is kept now would be deleted.
pub(crate) fn shortens(topic: &Topic, kept: &Kept) -> bool {
    Shortened::of(topic, kept).is_something()
}

/// How many finished events and dead letters of all its queues would be deleted, up to a bound: what is too old is among
/// what is too much, or the other way round, as the oldest go first.
pub(crate) async fn would_delete(queue: &TitoQueue, name: &str, topic: &Topic, kept: &Kept) -> Answer<Affected> {
    let mut all = Affected { dry_run: true, ..Affected::default() };
    let shortened = Shortened::of(topic, kept);
    if !shortened.is_something() {
        return Ok(all);
    }
    let now = queue.engine.now().await?.seconds();
    let before = |seconds: u64| {
        let age = TimeDelta::try_seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
        let now = DateTime::from_timestamp(now, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
        age.and_then(|age| now.checked_sub_signed(age)).unwrap_or(DateTime::<Utc>::UNIX_EPOCH)
    };
    for name in topic.queues(name) {
        let total = queue.stats_of_rows(&name, COUNTED).await?.total;
        let surplus = |there: u64, most: Option<u64>| most.map_or(0, |most| there.saturating_sub(most));
        let (mut done, mut dead) =
            (surplus(total.done, shortened.history_events), surplus(total.dead, shortened.letter_events));
        all.at_least |= total.is_capped && (shortened.history_events.is_some() || shortened.letter_events.is_some());
        if let Some(seconds) = shortened.history_seconds {
            // Nothing at all is kept for no time.
            let end = if seconds == 0 { DateTime::<Utc>::MAX_UTC } else { before(seconds) };
            let old = queue.history(&name, DateTime::<Utc>::UNIX_EPOCH..end, COUNTED, None).await?.len();
            done = done.max(old as u64);
            all.at_least |= old == COUNTED;
        }
        if let Some(seconds) = shortened.letter_seconds {
            let (letters, end) = (queue.dead_letters(&name, COUNTED, None).await?, before(seconds));
            let old = letters.iter().filter(|letter| letter.given_up_at().is_some_and(|time| time < end)).count();
            dead = dead.max(old as u64);
            all.at_least |= letters.len() == COUNTED;
        }
        all.affected += done + dead;
    }
    Ok(all)
}
