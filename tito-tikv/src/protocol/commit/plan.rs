//! What to commit.
use tito_tikv_proto::kvrpcpb::{Mutation, Op};

use crate::{Error, Result};

/// The shortest time that a lock lives, in milliseconds, as in TiDB's client.
const LEAST_TTL: u64 = 3_000;

/// The longest time that a lock lives without a heartbeat, in milliseconds.
const MOST_TTL: u64 = 20_000;

/// Everything that a commit needs to know at the start.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// One per key, in key order.
    pub(crate) mutations: Vec<Mutation>,
    /// The index of the mutation whose key decides.
    pub(crate) primary: usize,
    /// The transaction's start timestamp.
    pub(crate) start: u64,
    /// The transaction's current age.
    pub(crate) age_millis: u64,
    /// How long its locks live from now.
    pub(crate) ttl_millis: u64,
    /// The oldest that it may be at its commit timestamp.
    pub(crate) age_limit_millis: Option<u64>,
    /// How long the call may take.
    pub(crate) deadline_millis: u64,
}

impl Plan {
    /// Sorts mutations and chooses the primary: the given key, or else the first key that is written.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] without mutations, for a duplicate key, for an empty key (no region can hold one), and for a
    /// primary that leaves no lock.
    pub(crate) fn new(mut mutations: Vec<Mutation>, primary: Option<&[u8]>, start: u64) -> Result<Plan> {
        let invalid = |reason: String| Error::Invalid { what: "mutations", reason };
        mutations.sort_by(|left, right| left.key.cmp(&right.key));
        if let Some(pair) = mutations.windows(2).find(|pair| pair[0].key == pair[1].key) {
            return Err(invalid(format!("expected each key once, found {} twice", pair[0].key.escape_ascii())));
        }
        if mutations.first().is_some_and(|first| first.key.is_empty()) {
            return Err(invalid("expected keys of at least one byte, found an empty one".to_owned()));
        }
        let writes = |mutation: &Mutation| matches!(mutation.op(), Op::Put | Op::Insert | Op::Del);
        let found = match primary {
            Some(key) => mutations.iter().position(|mutation| mutation.key == key),
            None => mutations.iter().position(writes).or_else(|| mutations.iter().position(leaves_lock)),
        };
        match found.filter(|number| leaves_lock(&mutations[*number])) {
            Some(primary) => Ok(Plan {
                ttl_millis: lock_ttl_millis(mutations.iter().map(bytes).sum()),
                mutations,
                primary,
                start,
                age_millis: 0,
                age_limit_millis: None,
                deadline_millis: 0,
            }),
            None => Err(invalid("expected a primary that is among the keys and is locked".to_owned())),
        }
    }

    /// How much of the call's time will be left when the transaction becomes too old; 0 if it won't in that time. A
    /// transaction that is already too old has one millisecond, in which nothing can happen.
    pub(super) fn after_age_millis(&self) -> u64 {
        let young = |limit: u64| (limit.saturating_sub(self.age_millis)).saturating_add(1);
        self.age_limit_millis.map_or(0, |limit| self.deadline_millis.saturating_sub(young(limit)))
    }

    pub(super) fn key(&self, number: usize) -> &[u8] {
        &self.mutations[number].key
    }

    pub(super) fn primary_key(&self) -> &[u8] {
        self.key(self.primary)
    }

    /// How many bytes a key takes on the wire.
    pub(super) fn bytes(&self, number: usize, with_value: bool) -> usize {
        if with_value { bytes(&self.mutations[number]) } else { self.key(number).len() }
    }

    /// Whether a prewrite of the key leaves a lock, which a commit or rollback has to remove.
    pub(super) fn leaves_lock(&self, number: usize) -> bool {
        leaves_lock(&self.mutations[number])
    }
}

fn leaves_lock(mutation: &Mutation) -> bool {
    mutation.op() != Op::CheckNotExists
}

fn bytes(mutation: &Mutation) -> usize {
    mutation.key.len() + mutation.value.len()
}

/// How long a transaction's locks live: 3 s, growing with the square root of its size up to 20 s.
fn lock_ttl_millis(bytes: usize) -> u64 {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    ((6_000.0 * mebibytes.sqrt()) as u64).clamp(LEAST_TTL, MOST_TTL)
}
