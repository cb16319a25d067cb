//! Merges sorted sources of which the newer hide the older.

use std::cmp::Ordering;
use std::iter::Peekable;

use super::store::{StoreResult, Write};
use crate::engine::Direction;

/// What a source says of a key.
pub(super) trait Entry {
    fn key(&self) -> &[u8];
    /// `None` where the source deletes it.
    fn value(&self) -> Option<&[u8]>;
}

impl Entry for Write {
    fn key(&self) -> &[u8] {
        &self.0
    }

    fn value(&self) -> Option<&[u8]> {
        self.1.as_deref()
    }
}

/// A source of a merge: keys in the merge's direction, each once.
pub(super) type Source<'a, E> = Box<dyn Iterator<Item = StoreResult<E>> + 'a>;

/// The keys of all sources in order, each with the value that the newest source which has it gives it.
pub(super) struct Merge<'a, E> {
    /// Newest first.
    sources: Vec<Peekable<Source<'a, E>>>,
    direction: Direction,
}

impl<'a, E: Entry> Merge<'a, E> {
    pub(super) fn new(sources: impl IntoIterator<Item = Source<'a, E>>, direction: Direction) -> Self {
        Self { sources: sources.into_iter().map(Iterator::peekable).collect(), direction }
    }

    /// The next key and what the newest source says of it.
    fn next_entry(&mut self) -> Option<StoreResult<E>> {
        let mut first: Option<usize> = None;
        for position in 0..self.sources.len() {
            let (before, rest) = self.sources.split_at_mut(position);
            let key = match rest[0].peek() {
                None => continue,
                Some(Err(_)) => return rest[0].next(),
                Some(Ok(entry)) => entry.key(),
            };
            let best = first.and_then(|first| match before[first].peek() {
                Some(Ok(entry)) => Some(entry.key()),
                _ => None,
            });
            match best.map(|best| in_direction(key, best, self.direction)) {
                Some(Ordering::Greater) => {}
                // The newer source, which came before, hides this one's.
                Some(Ordering::Equal) => drop(rest[0].next()),
                Some(Ordering::Less) | None => first = Some(position),
            }
        }
        self.sources[first?].next()
    }
}

fn in_direction(left: &[u8], right: &[u8], direction: Direction) -> Ordering {
    match direction {
        Direction::Ascending => left.cmp(right),
        Direction::Descending => right.cmp(left),
    }
}

impl<E: Entry> Iterator for Merge<'_, E> {
    type Item = StoreResult<E>;

    /// The next key that is not deleted.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_entry()? {
                Ok(entry) if entry.value().is_none() => {}
                next => return Some(next),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn source(direction: Direction, writes: &[(&str, Option<&str>)]) -> Source<'static, Write> {
        let mut writes: Vec<Write> = writes
            .iter()
            .map(|(key, value)| (key.as_bytes().to_vec(), value.map(|value| value.as_bytes().to_vec())))
            .collect();
        if direction == Direction::Descending {
            writes.reverse();
        }
        Box::new(writes.into_iter().map(Ok))
    }

    #[test]
    fn newer_sources_hide_older_ones_in_both_directions() {
        for direction in [Direction::Ascending, Direction::Descending] {
            let newest = source(direction, &[("b", None), ("d", Some("new")), ("f", Some("new"))]);
            let middle = source(direction, &[("a", Some("middle")), ("b", Some("middle")), ("e", None)]);
            let oldest =
                source(direction, &[("b", Some("old")), ("c", Some("old")), ("d", Some("old")), ("e", Some("old"))]);
            let merged = Merge::new([newest, middle, oldest], direction).collect::<StoreResult<Vec<_>>>().unwrap();
            let mut merged: Vec<String> = merged
                .into_iter()
                .map(|(key, value)| {
                    format!("{}={}", String::from_utf8(key).unwrap(), String::from_utf8(value.unwrap()).unwrap())
                })
                .collect();
            if direction == Direction::Descending {
                merged.reverse();
            }
            assert_eq!(merged, ["a=middle", "c=old", "d=new", "f=new"]);
        }
    }

    #[test]
    fn an_error_of_any_source_comes_through() {
        let broken: Source<'static, Write> = Box::new(std::iter::once(Err("broken".into())));
        let merged = Merge::new([source(Direction::Ascending, &[("a", Some("1"))]), broken], Direction::Ascending);
        assert!(merged.collect::<StoreResult<Vec<_>>>().is_err());
    }
}
