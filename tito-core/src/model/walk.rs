//! The rows of a range of a table or an index, in requests of bounded size.

use std::borrow::Cow;
use std::marker::PhantomData;

use super::catalogue::check_query;
use super::cursor::Cursor;
use super::repository::{ROWS_OF_A_REQUEST, decode_row};
use super::schema::TitoSchema;
use crate::database::{self, PageSize, Transaction};
use crate::engine::KeyValue;
use crate::error::{KeyText, Result, TitoError};
use crate::keys::{self, KeyRange};

/// What is walked over.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The rows themselves.
    Rows,
    /// The entries of an index, from which the rows are looked up.
    Index { name: Cow<'static, str>, unique: bool },
}

/// A row that a walk came by, with its id as the key says it. One that can't be read is an error in its place, and is in
/// nobody's way.
pub(super) type Found<M> = Result<FoundRow<M>>;

pub(super) struct FoundRow<M> {
    pub(super) id: String,
    pub(super) row: M,
}

pub(super) struct Walk<M> {
    table: Cow<'static, str>,
    source: Source,
    /// Over the rows themselves or the entries.
    keys: database::Walk,
    /// How many rows are still wanted.
    wanted: usize,
    /// Whether the index can be rested on was looked at.
    is_checked: bool,
    last_key: Option<Vec<u8>>,
    of: PhantomData<fn() -> M>,
}

impl<M: TitoSchema> Walk<M> {
    pub(super) fn new(
        table: Cow<'static, str>,
        source: Source,
        range: KeyRange,
        reverse: bool,
        limit: Option<usize>,
    ) -> Self {
        let keys = database::Walk::over(range).reversed(reverse).looking_ahead();
        let wanted = limit.unwrap_or(usize::MAX);
        Self { table, source, keys, wanted, is_checked: false, last_key: None, of: PhantomData }
    }

    /// Goes on after the place of a cursor.
    pub(super) fn start_after(&mut self, cursor: &Cursor) -> Result<()> {
        if !self.keys.pass(cursor.key()) {
            return Err(TitoError::InvalidCursor { reason: "its place is not in the range that is read" });
        }
        self.last_key = Some(cursor.key().to_vec());
        Ok(())
    }

    /// The rows of the next request, which may be none where entries have none; `None` at the end.
    pub(super) async fn next(&mut self, tx: &Transaction) -> Result<Option<Vec<Found<M>>>> {
        if !self.is_checked {
            if let Source::Index { name, .. } = &self.source {
                check_query::<M>(name, tx).await?;
            }
            self.is_checked = true;
        }
        if self.wanted == 0 {
            return Ok(None);
        }
        self.keys = self.keys.clone().in_pages(PageSize::entries(self.wanted.min(ROWS_OF_A_REQUEST)));
        let Some(page) = self.keys.next_in(tx).await? else { return Ok(None) };
        self.last_key = page.last().map(|(last, _)| last.clone());
        let found = match &self.source {
            Source::Rows => page.into_iter().map(|(key, bytes)| found_row(&key, &bytes)).collect(),
            Source::Index { name, unique } => rows_of_entries(&self.table, name, *unique, page, tx).await?,
        };
        self.wanted -= found.len();
        Ok(Some(found))
    }

    /// Where the walk stands, if there is more to come.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        if self.keys.is_over() { None } else { self.last_key.clone().map(Cursor::new) }
    }
}

fn found_row<M: TitoSchema>(key: &[u8], bytes: &[u8]) -> Found<M> {
    let id = keys::parse_row_id(key).ok_or_else(|| malformed(key, "a row, as its key has no id"))?;
    Ok(FoundRow { id, row: decode_row(key, bytes)? })
}

/// The rows of index entries. An entry whose row is gone or no longer calls for it is passed over.
async fn rows_of_entries<M: TitoSchema>(
    table: &str,
    index: &str,
    unique: bool,
    page: Vec<KeyValue>,
    tx: &Transaction,
) -> Result<Vec<Found<M>>> {
    let entries: Vec<_> = page.iter().map(|(key, value)| parse_entry(unique, key, value)).collect();
    let row_keys: Vec<_> = entries.iter().flatten().map(|entry| keys::row(table, &entry.id)).collect();
    let stored = tx.batch_get(row_keys.clone()).await?;
    let mut rows = row_keys.into_iter().zip(stored);
    let mut found = Vec::with_capacity(entries.len());
    for (entry, (key, _)) in entries.into_iter().zip(&page) {
        let Some(entry) = entry else {
            found.push(Err(malformed(key, "that of an entry of its index")));
            continue;
        };
        let Some((row_key, Some(bytes))) = rows.next() else { continue };
        found.extend(row_of_entry(&row_key, &bytes, index, entry).transpose());
    }
    Ok(found)
}

/// The row of an entry, if it calls for it.
fn row_of_entry<M: TitoSchema>(
    key: &[u8],
    bytes: &[u8],
    index: &str,
    entry: StoredEntry<'_>,
) -> Result<Option<FoundRow<M>>> {
    let row: M = decode_row(key, bytes)?;
    Ok(calls_for(&row, index, entry.fields)?.then_some(FoundRow { id: entry.id, row }))
}

/// An index entry, read.
pub(super) struct StoredEntry<'a> {
    pub(super) fields: &'a [u8],
    pub(super) id: String,
}

/// Reads an index entry; `None` if an index of this kind has no such entry.
pub(super) fn parse_entry<'a>(unique: bool, key: &'a [u8], value: &[u8]) -> Option<StoredEntry<'a>> {
    let (fields, id) = if unique {
        (keys::parse_unique_index_entry(key)?, String::from_utf8(value.to_vec()).ok()?)
    } else {
        keys::parse_index_entry(key)?
    };
    (!id.is_empty()).then_some(StoredEntry { fields, id })
}

/// Whether a row calls for the entry of an index with these fields.
pub(super) fn calls_for<M: TitoSchema>(row: &M, index: &str, fields: &[u8]) -> Result<bool> {
    Ok(row.index_entries()?.iter().any(|entry| entry.name == index && entry.fields == fields))
}

fn malformed(key: &[u8], expected: &'static str) -> TitoError {
    let reason = "the key or the value of an entry names no row; after an index was changed, it has to be reindexed";
    TitoError::Malformed { key: KeyText::from(key), expected, source: reason.into() }
}
