//! Merges two ordered iterations over keys.

use std::cmp::Ordering;
use std::iter::Peekable;

/// Every key of either iterator, with the entry that each has for it; both must be ordered by `compare`.
pub(super) fn merge<K: Copy, L, R>(
    left: impl Iterator<Item = (K, L)>,
    right: impl Iterator<Item = (K, R)>,
    compare: impl Fn(&K, &K) -> Ordering,
) -> impl Iterator<Item = (K, Option<L>, Option<R>)> {
    let mut left = left.peekable();
    let mut right = right.peekable();
    std::iter::from_fn(move || match order(&mut left, &mut right, &compare)? {
        Ordering::Less => left.next().map(|(key, left)| (key, Some(left), None)),
        Ordering::Greater => right.next().map(|(key, right)| (key, None, Some(right))),
        Ordering::Equal => {
            left.next().zip(right.next()).map(|((key, left), (_, right))| (key, Some(left), Some(right)))
        }
    })
}

/// Which of the two to advance; `None` at the end of both.
fn order<K, L, R>(
    left: &mut Peekable<impl Iterator<Item = (K, L)>>,
    right: &mut Peekable<impl Iterator<Item = (K, R)>>,
    compare: impl Fn(&K, &K) -> Ordering,
) -> Option<Ordering> {
    match (left.peek(), right.peek()) {
        (Some((left, _)), Some((right, _))) => Some(compare(left, right)),
        (Some(_), None) => Some(Ordering::Less),
        (None, Some(_)) => Some(Ordering::Greater),
        (None, None) => None,
    }
}
