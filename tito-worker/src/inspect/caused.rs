//! What an event caused.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use tito_core::database::{PageSize, Walk};
use tito_core::event::{Cause, TitoEvent, started_at};
use tito_core::keys::KeyRange;
use tito_core::row::{self, StoredRow};
use tito_core::{KeyText, Result};
use uuid::Uuid;

use super::bounds::SearchBounds;
use super::find::{FoundEvent, FoundIn};
use super::state::{PendingState, read_event};
use crate::error::QueueError;
use crate::keys;
use crate::place::{Kind, Place};
use crate::queue::TitoQueue;

/// How many rows are read at once.
const PAGE: usize = 200;
const PAGE_BYTES: usize = 16 << 20;

/// How many events a search finds before it ends.
const MOST_FOUND: usize = 1_000;

/// How many bytes these have, as they are stored, but for those of its last page.
const MOST_FOUND_BYTES: usize = 8 << 20;

/// What a search for what an event caused has found.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct CausedEvents {
    /// Events that it caused, once for each queue: pending ones first, then dead and done ones.
    pub events: Vec<FoundEvent>,
    /// How many rows were read.
    pub searched: u64,
    /// Where to go on; none if everything was searched.
    #[serde(serialize_with = "super::shown::serialize_key_or_none")]
    pub after: Option<KeyText>,
}

impl TitoQueue {
    /// What an event caused: the events of all topics and groups that name it as their
    /// [`causation_id`](TitoEvent::causation_id), whether pending, dead, or done and kept. Continue with the returned
    /// [`after`](CausedEvents::after) until there is none; a search ends at its bounds, or when it has found 1,000,
    /// or 8 MiB.
    ///
    /// There is no index of causes, which would cost a row for each event: this is a search, in pages of 200 rows, each
    /// at its own snapshot. For an outbox event it skips everything more than a minute older than the event, so it
    /// costs a page for each partition of the database plus what was published, done or has failed since; for another
    /// cause it reads everything. An event that is redriven or replayed meanwhile may be missed. For an operator, not
    /// for a program's daily work.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn caused_by(
        &self,
        cause: &Cause,
        bounds: SearchBounds,
        after: Option<&KeyText>,
    ) -> Result<CausedEvents, QueueError> {
        let id = cause.to_string();
        let from = from_second(&id, self.engine.now().await?.seconds());
        let mut rest = rest_of(after.map(KeyText::as_bytes));
        let ends = bounds.ends(&self.engine);
        let mut found = CausedEvents { events: Vec::new(), searched: 0, after: None };
        let mut found_bytes = 0;
        while let Some((kind, walk)) = rest.front_mut() {
            let kind = *kind;
            let Some((page, now)) = walk.next(&self.engine).await? else {
                rest.pop_front();
                continue;
            };
            let mut passed_over = None;
            for (key, value) in page {
                found.searched += 1;
                passed_over = None;
                let place = keys::parse_event(&key);
                if let Some(place) = place.filter(|place| place.seconds < from) {
                    let first = Place { kind, partition: place.partition, second: from, id: Uuid::nil() };
                    passed_over = Some(first.key(&place.queue));
                } else if is_caused_by(&value, &id) {
                    found.events.extend(shown(kind, &key, &value, now.seconds()));
                    found_bytes += value.len();
                }
                found.after = Some(KeyText::from(key));
            }
            if let Some(first) = passed_over {
                walk.skip_to(first);
            }
            let is_much = found.events.len() >= MOST_FOUND || found_bytes >= MOST_FOUND_BYTES;
            let is_enough = is_much || found.searched >= bounds.rows;
            if is_enough || self.engine.clock().monotonic_millis() >= ends {
                let is_over = rest.iter().all(|(_, walk)| walk.is_over());
                found.after = found.after.filter(|_| !is_over);
                return Ok(found);
            }
        }
        found.after = None;
        Ok(found)
    }
}

/// How far timestamps can be ahead of the present, in seconds: after a crash they go on from what was reserved.
const AHEAD: i64 = 60;

/// The second before which nothing lies that the event with an id has caused. What is published lies at the present and
/// ids tell of timestamps, which are ahead of that after time was set back.
fn from_second(id: &str, now: i64) -> i64 {
    let published = id.parse::<Uuid>().map_or(0, |id| (started_at(id).physical_millis() / 1_000) as i64);
    if published > now { 0 } else { (published - AHEAD).max(0) }
}

/// In the order in which events go through them: what is moved meanwhile is met later.
fn rest_of(after: Option<&[u8]>) -> VecDeque<(Kind, Walk)> {
    let all =
        [(Kind::Pending, keys::events()), (Kind::Dead, keys::all_dead_events()), (Kind::Done, keys::all_done_events())];
    let at = after.and_then(|key| all.iter().position(|(_, range)| range.contains(key))).unwrap_or(0);
    let rest = all.into_iter().skip(at).map(|(kind, range)| {
        let range: KeyRange = after.filter(|key| range.contains(key)).map_or(range.clone(), |key| range.after(key));
        (kind, Walk::over(range).in_pages(PageSize::entries(PAGE).and_bytes(PAGE_BYTES)))
    });
    rest.collect()
}

fn is_caused_by(value: &[u8], id: &str) -> bool {
    #[derive(Deserialize)]
    struct Caused<'a> {
        #[serde(borrow, default)]
        causation_id: Option<Cow<'a, str>>,
    }
    row::decode::<Caused<'_>>(b"", TitoEvent::EXPECTED, value)
        .is_ok_and(|event| event.causation_id.as_deref() == Some(id))
}

fn shown(kind: Kind, key: &[u8], value: &[u8], now: i64) -> Option<FoundEvent> {
    let queue = keys::parse_event(key)?.queue;
    let event = read_event(key, value);
    let found_in = match kind {
        Kind::Pending => FoundIn::Pending(PendingState::of(key, event.as_ref(), now).0),
        Kind::Dead => FoundIn::Dead,
        Kind::Done => FoundIn::Done,
    };
    Some(FoundEvent { queue, found_in, key: KeyText::from(key), event })
}
