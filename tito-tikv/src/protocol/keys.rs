//! Keys on their way to regions: they are located, batched and sent, as often as it takes.
use std::collections::VecDeque;

/// How many bytes of keys and values go into one request, as in TiDB's client: more would block a region's other
/// requests.
const BATCH_BYTES: usize = 16 << 10;

/// How many requests of one step are under way at a time.
pub(super) const AT_ONCE: usize = 32;

/// Keys of one region that are sent together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch<R, S> {
    /// What they are sent for.
    pub(super) step: S,
    pub(super) region: R,
    /// Their indices, ascending.
    pub(super) keys: Vec<usize>,
    /// How often they were sent before.
    pub(super) attempt: u32,
}

/// Batches that wait to be sent.
#[derive(Clone, Debug)]
pub(super) struct Queue<R, S>(VecDeque<Batch<R, S>>);

impl<R: Clone, S: Copy> Queue<R, S> {
    pub(super) fn new() -> Self {
        Queue(VecDeque::new())
    }

    /// Divides located keys into batches. `bytes` is the size of a key and what is sent with it.
    ///
    /// # Panics
    ///
    /// If the runs don't cover all keys: whoever locates keys has to locate all of them, and a key dropped here would
    /// be a lost write.
    pub(super) fn add(
        &mut self,
        step: S,
        keys: &[usize],
        runs: Vec<(R, usize)>,
        attempt: u32,
        bytes: impl Fn(usize) -> usize,
    ) {
        let located: usize = runs.iter().map(|(_, count)| count).sum();
        assert_eq!(located, keys.len(), "every key that was asked for has to be in a region");
        let mut rest = keys;
        for (region, count) in runs {
            let (run, after) = rest.split_at(count);
            rest = after;
            for part in divide(run, &bytes) {
                self.0.push_back(Batch { step, region: region.clone(), keys: part.to_vec(), attempt });
            }
        }
    }

    pub(super) fn push(&mut self, batch: Batch<R, S>) {
        self.0.push_back(batch);
    }

    pub(super) fn next(&mut self) -> Option<Batch<R, S>> {
        self.0.pop_front()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Splits keys into parts of bounded size, with at least one key each.
fn divide<'k>(keys: &'k [usize], bytes: &impl Fn(usize) -> usize) -> Vec<&'k [usize]> {
    let mut parts = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (position, key) in keys.iter().enumerate() {
        let more = bytes(*key);
        if position > start && size + more > BATCH_BYTES {
            parts.push(&keys[start..position]);
            (start, size) = (position, 0);
        }
        size += more;
    }
    if start < keys.len() {
        parts.push(&keys[start..]);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_and_never_of_two_regions() {
        let mut queue = Queue::new();
        let keys: Vec<usize> = (10..20).collect();
        queue.add((), &keys, vec![('a', 3), ('b', 7)], 0, |_| BATCH_BYTES / 2);
        let batches: Vec<_> = std::iter::from_fn(|| queue.next()).map(|batch| (batch.region, batch.keys)).collect();
        assert_eq!(batches[0], ('a', vec![10, 11]));
        assert_eq!(batches[1], ('a', vec![12]));
        assert_eq!(batches[2], ('b', vec![13, 14]));
        assert_eq!(batches.iter().flat_map(|(_, keys)| keys).count(), 10);
    }

    #[test]
    fn a_key_that_is_too_large_goes_alone() {
        assert_eq!(divide(&[1, 2, 3], &|key| if key == 2 { 10 * BATCH_BYTES } else { 1 }), [&[1][..], &[2], &[3]]);
        assert!(divide(&[], &|_| 1).is_empty());
    }

    #[test]
    #[should_panic(expected = "every key that was asked for")]
    fn a_key_that_is_not_located_is_not_forgotten() {
        Queue::new().add((), &[1, 2, 3], vec![('a', 2)], 0, |_| 1);
    }
}
