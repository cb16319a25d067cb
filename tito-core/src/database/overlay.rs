//! What a transaction reads: the engine's snapshot with its own writes on top.

use super::write_buffer::Writes;
use crate::engine::{Direction, KeyValue, TitoTransaction};
use crate::error::Result;
use crate::keys::KeyRange;

/// The values of many keys, in their order. `own` holds what the transaction itself has written to each, if anything.
pub(super) async fn batch_get(
    engine: &dyn TitoTransaction,
    mut own: Vec<Option<Option<Vec<u8>>>>,
    keys: Vec<Vec<u8>>,
) -> Result<Vec<Option<Vec<u8>>>> {
    if own.iter().all(Option::is_none) {
        return engine.batch_get(keys).await;
    }
    let stored: Vec<Vec<u8>> =
        keys.into_iter().zip(&own).filter(|(_, own)| own.is_none()).map(|(key, _)| key).collect();
    if !stored.is_empty() {
        let mut found = engine.batch_get(stored).await?.into_iter();
        for value in own.iter_mut().filter(|value| value.is_none()) {
            *value = found.next();
        }
    }
    Ok(own.into_iter().map(Option::flatten).collect())
}

/// How many rows a scan reads, at least, beyond those it looks for, to make up for deleted ones.
const MOST_DELETES: usize = 1_024;

/// The first `limit` keys of `range` in the order of `direction`.
pub(super) async fn scan(
    engine: &dyn TitoTransaction,
    writes: &Writes,
    mut range: KeyRange,
    direction: Direction,
    limit: usize,
) -> Result<Vec<KeyValue>> {
    if limit > 0 && !range.is_empty() && own(writes, &range).next().is_none() {
        return engine.scan(range, direction, limit).await;
    }
    let mut found = Vec::new();
    while found.len() < limit && !range.is_empty() {
        let wanted = limit - found.len();
        // Own deletes take rows away, so as many more are read. The limit counts what is left.
        let most = limit.max(MOST_DELETES);
        let deletes = own(writes, &range).filter(|(_, value)| value.is_none()).take(most).count();
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

/// The part of the range that the page covers completely.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use futures::FutureExt;
    use futures::future::BoxFuture;
    use proptest::prelude::*;

    use super::*;
    use crate::engine::{Mutation, Mutations, Signals};
    use crate::timestamp::{Now, Timestamp};

    /// A snapshot, and how many scans of it were asked for.
    struct Stored(BTreeMap<Vec<u8>, Vec<u8>>, std::sync::atomic::AtomicUsize);

    impl TitoTransaction for Stored {
        fn start_timestamp(&self) -> Timestamp {
            Timestamp::ZERO
        }

        fn now(&self) -> Now {
            Now::from_millis(0)
        }

        fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Vec<u8>>>> {
            std::future::ready(Ok(self.0.get(key).cloned())).boxed()
        }

        fn batch_get(&self, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
            std::future::ready(Ok(keys.iter().map(|key| self.0.get(key).cloned()).collect())).boxed()
        }

        fn scan(&self, range: KeyRange, direction: Direction, limit: usize) -> BoxFuture<'_, Result<Vec<KeyValue>>> {
            assert!(limit > 0 && !range.is_empty(), "the contract");
            self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let rows = self.0.range::<[u8], _>(range.bounds()).map(|(key, value)| (key.clone(), value.clone()));
            let page: Vec<KeyValue> = match direction {
                Direction::Ascending => rows.take(limit).collect(),
                Direction::Descending => rows.rev().take(limit).collect(),
            };
            std::future::ready(Ok(page)).boxed()
        }

        fn commit(&self, _: Mutations, _: Signals) -> BoxFuture<'_, Result<Timestamp>> {
            unreachable!("nothing is committed here")
        }

        fn rollback(&self) -> BoxFuture<'_, ()> {
            std::future::ready(()).boxed()
        }
    }

    fn map(keys: &[u8], value: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
        keys.iter().map(|key| (vec![*key], value.to_vec())).collect()
    }

    proptest! {
        #[test]
        fn reads_are_those_of_a_map_with_the_writes_applied(
            stored in proptest::collection::vec(0..40_u8, 0..30),
            writes in proptest::collection::btree_map(0..40_u8, any::<bool>(), 0..30),
            (start, end) in (0..42_u8, 0..42_u8),
            limit in prop_oneof![0..12_usize, Just(usize::MAX)],
            is_reverse in any::<bool>(),
            asked in proptest::collection::vec(0..40_u8, 0..20),
        ) {
            let engine = Stored(map(&stored, b"stored"), Default::default());
            let mut expected = engine.0.clone();
            let mut own = Writes::new();
            for (key, is_delete) in writes {
                let value = (!is_delete).then(|| b"own".to_vec());
                match &value {
                    Some(value) => expected.insert(vec![key], value.clone()),
                    None => expected.remove(&vec![key]),
                };
                own.insert(vec![key], Mutation { value, must_be_new: false });
            }
            let range = KeyRange::new([start], [end]);
            let direction = if is_reverse { Direction::Descending } else { Direction::Ascending };
            let found = scan(&engine, &own, range.clone(), direction, limit).now_or_never().unwrap().unwrap();
            let mut rows: Vec<KeyValue> = expected.clone().into_iter().filter(|(key, _)| range.contains(key)).collect();
            if is_reverse {
                rows.reverse();
            }
            rows.truncate(limit);
            prop_assert_eq!(found, rows);

            let keys: Vec<Vec<u8>> = asked.iter().map(|key| vec![*key]).collect();
            let own_values = keys.iter().map(|key| own.get(key).map(|own| own.value.clone())).collect();
            let values = batch_get(&engine, own_values, keys.clone()).now_or_never().unwrap().unwrap();
            prop_assert_eq!(values, keys.iter().map(|key| expected.get(key).cloned()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_scan_past_many_own_deletes_asks_few_times() {
        let keys: Vec<Vec<u8>> = (0..10_000_u32).map(|key| key.to_be_bytes().to_vec()).collect();
        let engine = Stored(keys.iter().map(|key| (key.clone(), Vec::new())).collect(), Default::default());
        let deleted = keys[..9_999].iter().map(|key| (key.clone(), Mutation { value: None, must_be_new: false }));
        let own: Writes = deleted.collect();
        let all = KeyRange::starting_at("");
        let found = scan(&engine, &own, all, Direction::Ascending, 1).now_or_never().unwrap().unwrap();
        assert_eq!(found, [(keys[9_999].clone(), Vec::new())]);
        assert!(engine.1.into_inner() <= 10);
    }
}
