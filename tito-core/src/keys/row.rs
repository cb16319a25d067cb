//! The keys of what models store, and of the database itself.

use super::build::{SEPARATOR, key, text, with_separator};
use super::kind::Kind;
use super::range::KeyRange;

/// `!database`: which database this is, and in which format. It sorts before all other keys.
pub fn database_identity() -> Vec<u8> {
    b"!database".to_vec()
}

/// `!filling`: the database is being filled from elsewhere, and incomplete until this is gone.
pub fn filling() -> Vec<u8> {
    b"!filling".to_vec()
}

/// `data:{table}:{id}`: a row.
pub fn row(table: &str, id: &str) -> Vec<u8> {
    key(Kind::Data, &[table.as_bytes(), id.as_bytes()])
}

/// All rows of a table.
pub fn rows(table: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::Data, &[table.as_bytes()])))
}

/// The rows of a table whose ids begin with `text`.
pub fn rows_with_prefix(table: &str, text: &str) -> KeyRange {
    KeyRange::prefix(key(Kind::Data, &[table.as_bytes(), text.as_bytes()]))
}

/// The id in the key of a row.
pub fn parse_row_id(key: &[u8]) -> Option<String> {
    let rest = Kind::Data.strip(key)?;
    let at = rest.iter().position(|&byte| byte == SEPARATOR)?;
    text(&rest[at + 1..]).filter(|id| !id.is_empty())
}

/// The prefixes of the keys of models: of rows, and of index entries.
pub fn of_models() -> [&'static [u8]; 2] {
    [Kind::Data, Kind::Index].map(|kind| kind.prefix().as_bytes())
}

/// `catalogue:{table}`: which indexes a table has.
pub fn catalogue(table: &str) -> Vec<u8> {
    key(Kind::Catalogue, &[table.as_bytes()])
}

/// `txn:{key}`: the marker of a transaction with an idempotency key.
pub fn idempotency_marker(idempotency_key: &str) -> Vec<u8> {
    key(Kind::Transaction, &[idempotency_key.as_bytes()])
}

/// All idempotency markers.
pub fn idempotency_markers() -> KeyRange {
    Kind::Transaction.all()
}
