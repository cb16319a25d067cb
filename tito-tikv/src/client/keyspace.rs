//! A part of the key space that a client keeps to.
use crate::error::Key;
use crate::protocol::resolve::Status;
use crate::{Outcome, Reason};

/// What the keys of transactions in keyspaces begin with, before the keyspace's number in three bytes.
const TRANSACTIONS: u8 = b'x';

/// A keyspace, or all of a cluster that has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keyspace {
    pub(crate) id: Option<u32>,
    prefix: Vec<u8>,
}

impl Keyspace {
    pub(crate) fn numbered(id: u32) -> Self {
        let [_, high, middle, low] = id.to_be_bytes();
        Keyspace { id: Some(id), prefix: vec![TRANSACTIONS, high, middle, low] }
    }

    /// The key as it is stored.
    pub(crate) fn stored(&self, key: &[u8]) -> Vec<u8> {
        [&self.prefix, key].concat()
    }

    /// The end of a range as it is stored; an empty one is the keyspace's.
    pub(crate) fn stored_end(&self, end: &[u8]) -> Vec<u8> {
        if end.is_empty() && !self.prefix.is_empty() {
            (u32::from_be_bytes([TRANSACTIONS, self.prefix[1], self.prefix[2], self.prefix[3]]) + 1)
                .to_be_bytes()
                .to_vec()
        } else {
            self.stored(end)
        }
    }

    /// The key without what is stored before it.
    pub(crate) fn own(&self, stored: &[u8]) -> Vec<u8> {
        stored.strip_prefix(self.prefix.as_slice()).unwrap_or(stored).to_vec()
    }

    fn own_key(&self, key: Key) -> Key {
        self.own(key.as_bytes()).into()
    }

    /// The outcome as its user knows the keys.
    pub(crate) fn own_outcome(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::NotCommitted(Reason::Conflict { key, by, at }) => {
                Outcome::NotCommitted(Reason::Conflict { key: self.own_key(key), by, at })
            }
            Outcome::NotCommitted(Reason::Exists { key }) => {
                Outcome::NotCommitted(Reason::Exists { key: self.own_key(key) })
            }
            Outcome::NotCommitted(Reason::Locked { key, holder }) => {
                Outcome::NotCommitted(Reason::Locked { key: self.own_key(key), holder })
            }
            outcome => outcome,
        }
    }
}

/// What an outcome says to others of the transaction.
pub(crate) fn status_of(outcome: &Outcome) -> Option<Status> {
    match outcome {
        Outcome::Committed(at) => Some(Status::Committed(at.raw())),
        // What is not committed may have left a primary whose record the cluster has not yet; it is asked then.
        Outcome::NotCommitted(_) | Outcome::Unknown(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyspace_ends_where_the_next_begins() {
        let keyspace = Keyspace::numbered(0x0001_00ff);
        assert_eq!(keyspace.stored(b"k"), [b'x', 1, 0, 255, b'k']);
        assert_eq!(keyspace.stored_end(b""), [b'x', 1, 1, 0]);
        assert_eq!(Keyspace::numbered(0x00ff_ffff).stored_end(b""), [b'y', 0, 0, 0]);
        assert_eq!(keyspace.own(&[b'x', 1, 0, 255, b'k']), b"k");
        assert_eq!(Keyspace::default().stored_end(b""), b"");
    }
}
