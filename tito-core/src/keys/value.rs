//! Index values, written so that keys sort as the values do.
//!
//! | value | written as |
//! |---|---|
//! | text, characters, UUIDs | escaped, then `!` |
//! | integers of every width | `p`, the number of digits in two digits, the digits; if negative `n`, 99 less the number of digits, the digits each subtracted from 9 |
//! | floats | 16 hexadecimal digits: the bits of the `f64` with the sign bit flipped, of a negative one all bits flipped |
//! | booleans | `f` or `t` |
//! | instants | the integer of nanoseconds since the Unix epoch |
//!
//! Every form marks its own end, so that the fields of a composite index can follow one another.
//!
//! Keys have a place for infinite floats, so that queries can ask for them. Rows have none: JSON has no form for them.
//! A field that can be infinite needs its own serde form.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Display;
use std::io::Write;

use chrono::{DateTime, TimeZone, Utc};
use uuid::Uuid;

use super::escape::{TERMINATOR, push_escaped};

/// A value that an index can't hold, such as a float that is not a number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidIndexValue(pub String);

/// A value that an index can hold and a query can ask for.
///
/// `Kind` says which values can be compared: a query over an index of `String` also takes a `&str`, but no number. Your
/// own type becomes an index value by delegating to the value that it wraps:
///
/// ```
/// use tito_core::keys::{IndexValue, InvalidIndexValue};
///
/// struct Sku(String);
///
/// impl IndexValue for Sku {
///     type Kind = Sku;
///     fn encode(&self, out: &mut Vec<u8>) -> Result<(), InvalidIndexValue> {
///         self.0.encode(out)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be an index key",
    label = "expected text, an integer, a float, a boolean, a `DateTime`, a `Uuid`, or a type that implements `IndexValue` (of a field, an `Option` or a collection of one as well)"
)]
pub trait IndexValue {
    /// What the value may be compared with.
    type Kind;

    /// Appends the value to a key.
    ///
    /// # Errors
    /// The value has no place in the order of the others (a NaN).
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), InvalidIndexValue>;
}

impl<T: IndexValue + ?Sized> IndexValue for &T {
    type Kind = T::Kind;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), InvalidIndexValue> {
        (**self).encode(out)
    }
}

impl<T: IndexValue + ?Sized> IndexValue for Box<T> {
    type Kind = T::Kind;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), InvalidIndexValue> {
        (**self).encode(out)
    }
}

impl IndexValue for str {
    type Kind = String;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), InvalidIndexValue> {
        push_escaped(out, self.as_bytes());
        out.push(TERMINATOR);
        Ok(())
    }
}

impl IndexValue for String {
    type Kind = String;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), InvalidIndexValue> {
        self.as_str().encode(out)
    }
}

impl IndexValue for std::borrow::Cow<'_, str> {
    type Kind = String;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), InvalidIndexValue> {
        (**self).encode(out)
    }
}

impl IndexValue for char {
    type Kind = char;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), InvalidIndexValue> {
        self.encode_utf8(&mut [0; 4]).encode(out)
    }
}

impl IndexValue for Uuid {
    type Kind = Uuid;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), InvalidIndexValue> {
        let mut text = Uuid::encode_buffer();
        self.hyphenated().encode_lower(&mut text).encode(out)
    }
}

impl IndexValue for bool {
    type Kind = bool;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), InvalidIndexValue> {
        out.push(if *self { b't' } else { b'f' });
        Ok(())
    }
}

impl<Z: TimeZone> IndexValue for DateTime<Z> {
    type Kind = DateTime<Utc>;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), InvalidIndexValue> {
        let nanos = i128::from(self.timestamp()) * 1_000_000_000 + i128::from(self.timestamp_subsec_nanos());
        encode_integer(out, nanos < 0, nanos.unsigned_abs());
        Ok(())
    }
}

macro_rules! integers {
    ($($signed:ty, $unsigned:ty;)*) => {$(
        impl IndexValue for $signed {
            type Kind = $signed;
            fn encode(&self, out: &mut Vec<u8>) -> Result<(), InvalidIndexValue> {
                encode_integer(out, *self < 0, self.unsigned_abs());
                Ok(())
            }
        }
        impl IndexValue for $unsigned {
            type Kind = $unsigned;
            fn encode(&self, out: &mut Vec<u8>) -> Result<(), InvalidIndexValue> {
                encode_integer(out, false, *self);
                Ok(())
            }
        }
    )*};
}

integers! {
    i8, u8;
    i16, u16;
    i32, u32;
    i64, u64;
    i128, u128;
    isize, usize;
}

fn encode_integer(out: &mut Vec<u8>, negative: bool, magnitude: impl Display) {
    let mut digits = [0u8; 39];
    let mut rest = &mut digits[..];
    // 39 bytes hold the 39 digits of the longest u128.
    let _ = write!(rest, "{magnitude}");
    let length = 39 - rest.len();
    let (sign, length_shown) = if negative { (b'n', 99 - length) } else { (b'p', length) };
    out.extend_from_slice(&[sign, b'0' + (length_shown / 10) as u8, b'0' + (length_shown % 10) as u8]);
    out.extend(digits[..length].iter().map(|&digit| if negative { b'9' - (digit - b'0') } else { digit }));
}

impl IndexValue for f64 {
    type Kind = f64;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), InvalidIndexValue> {
        if self.is_nan() {
            return Err(InvalidIndexValue("a float that is not a number has no place in an order".to_string()));
        }
        // Adding zero turns -0.0 into 0.0, which it equals.
        let bits = (self + 0.0).to_bits();
        let sortable = if bits >> 63 == 1 { !bits } else { bits | (1 << 63) };
        // Writing to a Vec can't fail.
        let _ = write!(out, "{sortable:016x}");
        Ok(())
    }
}

impl IndexValue for f32 {
    type Kind = f32;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), InvalidIndexValue> {
        f64::from(*self).encode(out)
    }
}

/// The prefix, in an index key, of every text that starts with `prefix`.
pub fn encode_text_prefix(prefix: &str, out: &mut Vec<u8>) {
    push_escaped(out, prefix.as_bytes());
}

/// A field of a model that can be indexed: an [`IndexValue`], an `Option` of one (`None` makes no entry), or a
/// collection of them (one entry per element; equal elements make one).
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be an index key",
    label = "expected text, an integer, a float, a boolean, a `DateTime`, a `Uuid`, or a type that implements `IndexValue` (of a field, an `Option` or a collection of one as well)"
)]
pub trait IndexField {
    /// What queries compare the field with.
    type Kind;

    /// The encoded values, one for each entry that the field needs.
    ///
    /// # Errors
    /// See [`IndexValue::encode`].
    fn encodings(&self) -> Result<Vec<Vec<u8>>, InvalidIndexValue>;
}

impl<T: IndexValue> IndexField for T {
    type Kind = T::Kind;
    fn encodings(&self) -> Result<Vec<Vec<u8>>, InvalidIndexValue> {
        let mut encoded = Vec::new();
        self.encode(&mut encoded)?;
        Ok(vec![encoded])
    }
}

impl<T: IndexField> IndexField for Option<T> {
    type Kind = T::Kind;
    fn encodings(&self) -> Result<Vec<Vec<u8>>, InvalidIndexValue> {
        self.as_ref().map_or_else(|| Ok(Vec::new()), T::encodings)
    }
}

macro_rules! collections {
    ($($collection:ident),*) => {$(
        impl<T: IndexField> IndexField for $collection<T> {
            type Kind = T::Kind;
            fn encodings(&self) -> Result<Vec<Vec<u8>>, InvalidIndexValue> {
                let mut all = BTreeSet::new();
                for element in self {
                    all.extend(element.encodings()?);
                }
                Ok(all.into_iter().collect())
            }
        }
    )*};
}

collections!(Vec, BTreeSet, HashSet);
