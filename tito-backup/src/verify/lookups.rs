//! Rows that others call for, looked up for a page at once.

use tito_core::{DatabaseSnapshot, KeyText};
use xxhash_rust::xxh3::xxh3_128;

use super::mend::Mend;
use super::{Finding, Wrong};
use crate::error::Result;

/// How many rows are in memory at a time.
const TOGETHER: usize = 32;

#[derive(Default)]
pub(super) struct Lookups(Vec<Lookup>);

struct Lookup {
    /// What calls for the row.
    by: Vec<u8>,
    wanted: Vec<u8>,
    expected: Expected,
}

enum Expected {
    /// A row, of an entry with this value.
    Row { entry: Vec<u8> },
    /// An event, of what is kept beside it; with the hash of a value that has to be the same.
    Event(Option<u128>),
    /// What is kept with this value beside an event; with the hash of the event's.
    Beside { value: Vec<u8>, event_hash: u128 },
}

impl Lookups {
    pub(super) fn row_of_entry(&mut self, by: Vec<u8>, entry: Vec<u8>, wanted: Vec<u8>) {
        self.0.push(Lookup { by, wanted, expected: Expected::Row { entry } });
    }

    pub(super) fn event_of(&mut self, by: Vec<u8>, wanted: Vec<u8>) {
        self.0.push(Lookup { by, wanted, expected: Expected::Event(None) });
    }

    pub(super) fn same_as_event(&mut self, by: Vec<u8>, value: &[u8], wanted: Vec<u8>) {
        self.0.push(Lookup { by, wanted, expected: Expected::Event(Some(xxh3_128(value))) });
    }

    pub(super) fn beside_event(&mut self, by: Vec<u8>, event_hash: u128, wanted: Vec<u8>, value: Vec<u8>) {
        self.0.push(Lookup { by, wanted, expected: Expected::Beside { value, event_hash } });
    }

    /// What is missing, or not as it has to be.
    pub(super) async fn made(self, snapshot: &DatabaseSnapshot) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let mut lookups = self.0.into_iter().peekable();
        while lookups.peek().is_some() {
            let together: Vec<Lookup> = lookups.by_ref().take(TOGETHER).collect();
            let rows = snapshot.batch_get(together.iter().map(|lookup| lookup.wanted.clone()).collect()).await?;
            findings.extend(together.into_iter().zip(rows).filter_map(|(lookup, row)| lookup.judge(row)));
        }
        Ok(findings)
    }
}

impl Lookup {
    fn judge(self, found: Option<Vec<u8>>) -> Option<Finding> {
        let Self { by, wanted, expected } = self;
        match (expected, found) {
            (Expected::Row { .. }, Some(_)) | (Expected::Event(None), Some(_)) => None,
            (Expected::Row { entry }, None) => {
                let wrong = Wrong::EntryWithoutRow { row: KeyText::from(wanted.as_slice()) };
                Some(Finding::new(&by, wrong).mended_by(Mend::DeleteEntry { value: entry, row: wanted }))
            }
            (Expected::Event(_), None) => Some(Finding::new(&by, Wrong::WithoutEvent { event: KeyText::from(wanted) })),
            (Expected::Event(Some(hash)), Some(value)) => {
                let is_same = xxh3_128(&value) == hash;
                (!is_same).then(|| Finding::new(&by, Wrong::NotAsTheEvent { event: KeyText::from(wanted) }))
            }
            (Expected::Beside { value, event_hash }, found) => {
                let wrong = Wrong::NotAsTheEvent { event: KeyText::from(by.as_slice()) };
                match found {
                    Some(found) if found == value => None,
                    // Told of when the walk comes to it, or of an event of another store's sequence: not for a rule.
                    Some(_) => Some(Finding::new(&wanted, wrong)),
                    None => {
                        Some(Finding::new(&wanted, wrong).mended_by(Mend::PutBeside { event: by, event_hash, value }))
                    }
                }
            }
        }
    }
}
