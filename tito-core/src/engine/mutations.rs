//! What a transaction commits.

use std::collections::BTreeMap;

/// What a transaction does to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// The new value; `None` deletes the key.
    pub value: Option<Vec<u8>>,
    /// Whether the key must not exist at the commit. This can hold for a deleted key too, if it was inserted first.
    pub must_be_new: bool,
}

/// What a transaction writes and locks.
#[derive(Clone, Debug, Default)]
pub struct Mutations {
    /// The writes, sorted by key.
    pub writes: BTreeMap<Vec<u8>, Mutation>,
    /// Keys whose reads count as writes, in the order in which they were locked. Some may be written too.
    pub locks: Vec<Vec<u8>>,
    /// Bytes of the keys and values of `writes`.
    pub bytes: usize,
}

impl Mutations {
    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.locks.is_empty()
    }
}
