//! Which dead letters are meant.

use tito_core::event::TitoEvent;
use tito_core::keys;
use tito_worker::fingerprint_of;

use crate::api::Letters;
use crate::failure::{Answer, Failure};

/// Says which dead letters are meant, and refuses to mean all of them unless that was said.
pub(crate) fn check(letters: &Letters) -> Answer<()> {
    let Letters { all, key, id, entity, error, fingerprint, from, before } = letters;
    let is_some = id.is_some() || from.is_some() || before.is_some();
    let is_some = is_some || entity.is_some() || error.is_some() || fingerprint.is_some();
    match (key.is_some(), is_some, all) {
        (true, false, false) | (false, true, false) | (false, false, true) => Ok(()),
        (false, false, false) => Err(Failure::invalid(
            "say which dead letters: `key`, or some of `id`, `entity`, `error`, `fingerprint`, `from`, `before`, or `all`",
        )),
        _ => Err(Failure::invalid("`key` and `all` can't be said beside anything else")),
    }
}

/// Whether a dead letter is meant, with its event if its bytes are one.
pub(crate) fn are_meant(letters: &Letters, key: &[u8], event: Option<&TitoEvent>) -> bool {
    let Letters { all: _, key: _, id, entity, error, fingerprint, from, before } = letters;
    let fingerprint = fingerprint.as_deref();
    let second = keys::parse_event_second(key);
    let is_in_time = from.is_none_or(|from| second.is_some_and(|second| second >= from))
        && before.is_none_or(|before| second.is_some_and(|second| second < before));
    let asks_of_event = id.is_some() || entity.is_some() || error.is_some() || fingerprint.is_some();
    let Some(event) = event else { return is_in_time && !asks_of_event };
    let contains = |text: &String| event.failures.last().is_some_and(|failure| failure.error.contains(text));
    is_in_time
        && id.is_none_or(|id| event.id == id)
        && entity.as_ref().is_none_or(|entity| event.entity == *entity)
        && error.as_ref().is_none_or(contains)
        && fingerprint.is_none_or(|print| fingerprint_of(event).as_deref() == Some(print))
}
