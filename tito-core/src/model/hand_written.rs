//! Models without the derive: one trait whose methods take the place of the attributes.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::index::{IndexDefinition, IndexEntry};
use super::schema::{Change, TitoSchema};
use crate::error::{Result, TitoError};
use crate::event::TitoEventConfig;
use crate::keys::{IndexValue, InvalidIndexValue};

/// A model written by hand. With `Default` (whose value is asked for the table and the indexes), it can do everything
/// that a derived one can.
pub trait TitoModelTrait: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The row's id. Any text except an empty one.
    fn id(&self) -> String;

    /// The table. Must be the same for every value.
    fn table(&self) -> String;

    /// The indexes. Names and fields must be the same for every value; conditions may depend on it. A changed condition
    /// is not noticed: [`reindex`](super::TitoTable::reindex) the index then, or give it another name.
    fn indexes(&self) -> Vec<TitoIndexConfig> {
        Vec::new()
    }

    /// Which of the [`indexes`](TitoModelTrait::indexes) are unique, by name. Must be the same for every value.
    fn unique_indexes(&self) -> Vec<String> {
        Vec::new()
    }

    /// The events of every write of this row.
    fn events(&self) -> Vec<TitoEventConfig> {
        Vec::new()
    }

    /// To whom the row's events belong, so that they are found and erased with all that is the owner's.
    fn owner(&self) -> Option<String> {
        None
    }
}

/// An index of a hand-written model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TitoIndexConfig {
    /// Whether this row has entries in the index.
    pub condition: bool,
    /// The index's name, unique within the table.
    pub name: String,
    /// The fields, in the order in which they are compared.
    pub fields: Vec<TitoIndexField>,
}

/// A field of an index of a hand-written model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TitoIndexField {
    /// The field's name as serde writes it, with dots into nested values: `address.city`. A field that is missing or
    /// null makes no entry; a list makes one entry per element, even if it is on the way: `addresses.city`.
    pub name: String,
    /// What the field holds.
    pub r#type: TitoIndexBlockType,
}

/// What a field of an index holds, which decides how its values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TitoIndexBlockType {
    /// Text, compared byte by byte.
    String,
    /// A whole number of up to 64 bits.
    Integer,
    /// A number, compared as an `f64`.
    Float,
    /// `true` or `false`.
    Boolean,
    /// A time in RFC 3339, including years that chrono writes with a sign, compared as an instant.
    DateTime,
}

impl<T: TitoModelTrait + Default> TitoSchema for T {
    fn table() -> Cow<'static, str> {
        Cow::Owned(TitoModelTrait::table(&T::default()))
    }

    fn id(&self) -> String {
        TitoModelTrait::id(self)
    }

    fn index_definitions() -> Vec<IndexDefinition> {
        let row = T::default();
        let unique = row.unique_indexes();
        row.indexes().into_iter().map(|index| definition(&index, &unique)).collect()
    }

    fn index_entries(&self) -> Result<Vec<IndexEntry>> {
        let indexes = self.indexes();
        if indexes.iter().all(|index| !index.condition) {
            return Ok(Vec::new());
        }
        let table = TitoModelTrait::table(self);
        let row = serde_json::to_value(self).map_err(|source| TitoError::Unserializable {
            what: format!("row {:?} of table {table:?}", TitoModelTrait::id(self)),
            path: String::new(),
            source: source.into(),
        })?;
        let unique = self.unique_indexes();
        let mut entries = Vec::new();
        for index in indexes.into_iter().filter(|index| index.condition) {
            if index.fields.is_empty() {
                let reason = "it has no fields";
                return Err(TitoError::InvalidIndex { table, index: index.name, reason });
            }
            let fields: Vec<_> = index.fields.iter().map(|field| field_encodings(&row, field)).collect();
            entries.extend(IndexEntry::combine(&table, definition(&index, &unique), &fields)?);
        }
        Ok(entries)
    }

    fn events(change: &Change<'_, Self>) -> Vec<TitoEventConfig> {
        TitoModelTrait::events(change.row)
    }

    fn owner(&self) -> Option<String> {
        TitoModelTrait::owner(self)
    }
}

fn definition(index: &TitoIndexConfig, unique: &[String]) -> IndexDefinition {
    let fields: Vec<_> = index.fields.iter().map(|field| format!("{}: {:?}", field.name, field.r#type)).collect();
    let (name, covers) = (Cow::Owned(index.name.clone()), Cow::Owned(fields.join(", ")));
    IndexDefinition { unique: unique.contains(&index.name), name, covers }
}

fn field_encodings(row: &Value, field: &TitoIndexField) -> Result<Vec<Vec<u8>>, InvalidIndexValue> {
    let path: Vec<_> = field.name.split('.').collect();
    let mut values = Vec::new();
    collect(row, &path, &mut values);
    let mut encodings = values.into_iter().map(|value| encoding(value, field)).collect::<Result<Vec<_>, _>>()?;
    encodings.sort();
    encodings.dedup();
    Ok(encodings)
}

/// The values at the end of a path, of which there are several where a list lies on it.
fn collect<'a>(value: &'a Value, path: &[&str], found: &mut Vec<&'a Value>) {
    match (value, path) {
        (Value::Null, _) => {}
        (Value::Array(elements), _) => elements.iter().for_each(|element| collect(element, path, found)),
        (single, []) => found.push(single),
        (object, [name, rest @ ..]) => {
            if let Some(inner) = object.get(name) {
                collect(inner, rest, found);
            }
        }
    }
}

fn encoding(value: &Value, field: &TitoIndexField) -> Result<Vec<u8>, InvalidIndexValue> {
    let mut out = Vec::new();
    match (field.r#type, value) {
        (TitoIndexBlockType::String, Value::String(text)) => text.encode(&mut out)?,
        (TitoIndexBlockType::Boolean, Value::Bool(truth)) => truth.encode(&mut out)?,
        (TitoIndexBlockType::Integer, Value::Number(number)) if number.is_i64() || number.is_u64() => {
            match number.as_i64() {
                Some(signed) => signed.encode(&mut out)?,
                None => number.as_u64().expect("an integer of JSON that is no i64 is a u64").encode(&mut out)?,
            }
        }
        (TitoIndexBlockType::Float, Value::Number(number)) => match number.as_f64() {
            Some(float) => float.encode(&mut out)?,
            None => return Err(InvalidIndexValue(format!("field {:?}: {number} is no f64", field.name))),
        },
        (TitoIndexBlockType::DateTime, Value::String(text)) => match text.parse::<DateTime<Utc>>() {
            Ok(instant) => instant.encode(&mut out)?,
            Err(error) => return Err(InvalidIndexValue(format!("field {:?}: {error}", field.name))),
        },
        (expected, found) => {
            return Err(InvalidIndexValue(format!(
                "field {:?} should hold {expected:?}, but it is {}",
                field.name,
                kind_of(found)
            )));
        }
    }
    Ok(out)
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number of another kind",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
