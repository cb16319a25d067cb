//! What a transaction reads: the engine's snapshot with its own writes on top.

use super::write_buffer::Writes;
use crate::engine::{Direction, KeyValue, Mutation, TitoTransaction};
use crate::error::Result;
use crate::keys::KeyRange;

/// The values of many keys, in their order.
pub(super) async fn batch_get(
    engine: &dyn TitoTransaction,
    writes: &Writes,
    keys: Vec<Vec<u8>>,
) -> Result<Vec<Option<Vec<u8>>>> {
    if writes.is_empty() {
        return engine.batch_get(keys).await;
    }
    let own: Vec<Option<&Mutation>> = keys.iter().map(|key| writes.get(key)).collect();
    let mut own_values: Vec<Option<Option<Vec<u8>>>> =
        own.into_iter().map(|own| own.map(|mutation| mutation.value.clone())).collect();
    let stored: Vec<Vec<u8>> =
        keys.into_iter().zip(&own_values).filter(|(_, own)| own.is_none()).map(|(key, _)| key).collect();
    if stored.is_empty() {
        return Ok(own_values.into_iter().flatten().collect());
    }
    let mut found = engine.batch_get(stored).await?.into_iter();
    for value in own_values.iter_mut().filter(|value| value.is_none()) {
        *value = found.next();
    }
    Ok(own_values.into_iter().map(Option::flatten).collect())
}

/// The first `limit` keys of `range` in the order of `direction`.
pub(super) async fn scan(
    engine: &dyn TitoTransaction,
    writes: &Writes,
    mut range: KeyRange,
    direction: Direction,
    limit: usize,
) -> Result<Vec<KeyValue>> {
    let mut found = Vec::new();
    while found.len() < limit && !range.is_empty() {
        let wanted = limit - found.len();
        // Own deletes take rows away, so as many more are read. The limit counts what is left.
        let deletes = own(writes, &range).filter(|(_, value)| value.is_none()).take(limit).count();
        let asked = wanted.saturating_add(deletes);
        let page = engine.scan(range.clone(), direction, asked).await?;
        let is_last = page.len() < asked;
        if is_last && own(writes, &range).next().is_none() {
            found.extend(page.into_iter().take(wanted));
            break;
        }
        let covered = covered(&range, &page, is_last, direction);
        merge(page, own(writes, &covered), direction, wanted, &mut found);
        range = match direction {
            _ if is_last => break,
            Direction::Descending => range.before(&covered.start),
            Direction::Ascending => match covered.end {
                Some(end) => range.not_before(end),
                None => break,
            },
        };
    }
    Ok(found)
}

/// The part of the range of which the page tells everything.
fn covered(range: &KeyRange, page: &[KeyValue], is_last: bool, direction: Direction) -> KeyRange {
    let mut covered = range.clone();
    match (page.last(), direction) {
        (Some((last, _)), Direction::Descending) if !is_last => covered.start = last.clone(),
        (Some((last, _)), Direction::Ascending) if !is_last => covered.end = Some([last, &b"\0"[..]].concat()),
        _ => {}
    }
    covered
}

type Own<'a> = (&'a Vec<u8>, &'a Option<Vec<u8>>);

/// Adds the first `wanted` rows of the page with own writes of the same range on top to `found`.
fn merge<'a>(
    page: Vec<KeyValue>,
    own: impl DoubleEndedIterator<Item = Own<'a>>,
    direction: Direction,
    wanted: usize,
    found: &mut Vec<KeyValue>,
) {
    let end = found.len() + wanted;
    let mut own: Box<dyn Iterator<Item = Own<'a>>> = match direction {
        Direction::Ascending => Box::new(own),
        Direction::Descending => Box::new(own.rev()),
    };
    let (mut page, mut next_own) = (page.into_iter(), own.next());
    let mut next_stored = page.next();
    while found.len() < end {
        let order = match (&next_stored, next_own) {
            (None, None) => return,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((stored, _)), Some((own, _))) => match direction {
                Direction::Ascending => stored.cmp(own),
                Direction::Descending => own.cmp(stored),
            },
        };
        if order.is_le() {
            let stored = std::mem::replace(&mut next_stored, page.next());
            if order.is_lt() {
                found.extend(stored);
            }
        }
        if order.is_ge() {
            if let Some((key, Some(value))) = next_own {
                found.push((key.clone(), value.clone()));
            }
            next_own = own.next();
        }
    }
}

fn own<'a>(writes: &'a Writes, range: &'a KeyRange) -> impl DoubleEndedIterator<Item = Own<'a>> {
    // A map's range panics on bounds that are the wrong way round.
    let writes = (!range.is_empty()).then(|| writes.range::<[u8], _>(range.bounds()));
    writes.into_iter().flatten().map(|(key, mutation)| (key, &mutation.value))
}
