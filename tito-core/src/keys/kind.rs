//! The kinds of keys, of all crates: what each key of Tito's begins with. All builders take one, so a key without a kind
//! can't be built.

use super::build::SEPARATOR;
use super::range::KeyRange;

macro_rules! kinds {
    ($($kind:ident $prefix:literal,)*) => {
        /// The first component of Tito's keys, in whichever crate they are built.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Kind {
            $(#[doc = concat!("`", $prefix, "`")] $kind,)*
        }

        impl Kind {
            const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The kind and the separator after it.
            pub const fn prefix(self) -> &'static str {
                match self {
                    $(Self::$kind => $prefix,)*
                }
            }
        }
    };
}

// Programs may have keys of their own that begin like a kind to come, unless it begins with `FUTURE`.
kinds! {
    Data "data:",
    Index "index:",
    Event "event:",
    Dead "dead:",
    Done "done:",
    Catalogue "catalogue:",
    Topic "topic:",
    LowWatermark "checkpoint:",
    Lease "lease:",
    Member "member:",
    Process "process:",
    Schedule "schedule:",
    Dedup "dedup:",
    Copied "copied:",
    Transaction "txn:",
    Store "store:",
    Log "log:",
    Dropped "dropped:",
    Moved "!moved:",
    Owned "!owned:",
    Worker "!worker:",
    Retire "!retire:",
    Activity "!activity:",
    Operation "!operation:",
    Backlog "!backlog:",
    Looked "!looked:",
}

/// The prefix of every key of Tito's of a later kind: the database's identity, and kinds to come.
const FUTURE: &str = "!";

impl Kind {
    /// What follows the prefix, if the key is of this kind.
    pub fn strip(self, key: &[u8]) -> Option<&[u8]> {
        key.strip_prefix(self.prefix().as_bytes())
    }

    /// All keys of the kind.
    pub fn all(self) -> KeyRange {
        KeyRange::prefix(self.prefix())
    }
}

/// The prefix that makes a key Tito's own, in use or reserved for the future. `None` for keys that applications may
/// write as they like.
///
/// ```
/// use tito_core::keys;
/// assert_eq!(keys::reserved_prefix(b"topic:mail"), Some("topic:"));
/// assert_eq!(keys::reserved_prefix(b"!whatever"), Some("!"));
/// assert_eq!(keys::reserved_prefix(b"seen/17"), None);
/// ```
pub fn reserved_prefix(key: &[u8]) -> Option<&'static str> {
    if key.starts_with(FUTURE.as_bytes()) {
        return Some(FUTURE);
    }
    // Most keys of applications have no separator near their beginning, and need no look at each kind.
    let length = key.iter().take(LONGEST).position(|&byte| byte == SEPARATOR)? + 1;
    Kind::ALL.iter().map(|kind| kind.prefix()).find(|prefix| prefix.as_bytes() == &key[..length])
}

/// Every prefix that [`reserved_prefix`] can return.
pub fn reserved_prefixes() -> impl Iterator<Item = &'static str> {
    Kind::ALL.iter().map(|kind| kind.prefix()).filter(|prefix| !prefix.starts_with(FUTURE)).chain([FUTURE])
}

/// The length of the longest prefix.
const LONGEST: usize = {
    let (mut longest, mut at) = (0, 0);
    while at < Kind::ALL.len() {
        let length = Kind::ALL[at].prefix().len();
        longest = if length > longest { length } else { longest };
        at += 1;
    }
    longest
};
