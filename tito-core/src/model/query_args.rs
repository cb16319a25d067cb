//! What queries may be asked for, checked by the compiler: the kinds of an index's fields against the values given.

use std::borrow::Cow;
use std::ops::{Bound, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use chrono::{DateTime, FixedOffset, Local, Utc};

use crate::keys::{IndexValue, InvalidIndexValue, push_field_separator};

/// A value that a field of kind `A` can be compared with: a value of that kind itself or a reference to one, for text
/// also a `&str`, for instants a `DateTime` of another offset.
///
/// It is implemented for fewer types than have the [kind](IndexValue::Kind), so that a number literal takes the field's
/// type. If your own type shares its kind with another type, an empty `impl` makes it an argument.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be compared with an indexed field of kind `{A}`",
    label = "expected a value of kind `{A}`"
)]
pub trait IndexArg<A>: IndexValue<Kind = A> {}

impl<A: IndexValue<Kind = A>> IndexArg<A> for A {}
impl<A: IndexValue<Kind = A>> IndexArg<A> for &A {}
impl IndexArg<String> for &str {}
impl IndexArg<String> for &&str {}
impl IndexArg<String> for Cow<'_, str> {}
impl IndexArg<String> for &Cow<'_, str> {}
impl IndexArg<String> for Box<str> {}
impl IndexArg<DateTime<Utc>> for DateTime<FixedOffset> {}
impl IndexArg<DateTime<Utc>> for &DateTime<FixedOffset> {}
impl IndexArg<DateTime<Utc>> for DateTime<Local> {}
impl IndexArg<DateTime<Utc>> for &DateTime<Local> {}

/// Values for the leading fields of an index of kinds `K`: a value for the first one, or a tuple.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not fit the leading fields of an index of `{K}`",
    label = "expected a value for the first field, or a tuple of values for the first ones"
)]
pub trait IndexPrefix<K> {
    /// Appends the values to a key, joined.
    ///
    /// # Errors
    /// See [`IndexValue::encode`].
    fn encode_fields(&self, out: &mut Vec<u8>) -> Result<(), InvalidIndexValue>;
}

/// Values for all fields of an index of kinds `K`: a value if it has one field, else a tuple.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not fit the fields of an index of `{K}`",
    label = "expected a value for each field: a tuple, or the value itself if there is one field"
)]
pub trait IndexArgs<K>: IndexPrefix<K> {}

macro_rules! indexes_of {
    ($first:ident $($other:ident)*) => {
        impl<$first, $($other,)* V: IndexValue + IndexArg<$first>> IndexPrefix<($first, $($other,)*)> for V {
            fn encode_fields(&self, out: &mut Vec<u8>) -> Result<(), InvalidIndexValue> {
                self.encode(out)
            }
        }
    };
}

indexes_of!(A);
indexes_of!(A B);
indexes_of!(A B C);
indexes_of!(A B C D);
indexes_of!(A B C D E);
indexes_of!(A B C D E F);

impl<A, V: IndexValue + IndexArg<A>> IndexArgs<(A,)> for V {}

// `V: IndexValue` is said again as it shows the compiler that no tuple is meant.

/// For one tuple of kinds, each tuple of values for its leading fields, the last of which is one for all.
macro_rules! tuples {
    ([$($kind:ident)+] [$(($value:ident $of:ident $at:tt))*]) => {
        impl<$($kind,)+ $($value: IndexArg<$of>,)*> IndexArgs<($($kind,)+)> for ($($value,)*) {}
    };
    ([$($kind:ident)+] [$(($value:ident $of:ident $at:tt))*] ($last:ident $last_of:ident $last_at:tt) $($rest:tt)*) => {
        impl<$($kind,)+ $($value: IndexArg<$of>,)* $last: IndexArg<$last_of>> IndexPrefix<($($kind,)+)>
            for ($($value,)* $last,)
        {
            fn encode_fields(&self, out: &mut Vec<u8>) -> Result<(), InvalidIndexValue> {
                $(
                    self.$at.encode(out)?;
                    push_field_separator(out);
                )*
                self.$last_at.encode(out)
            }
        }
        tuples!([$($kind)+] [$(($value $of $at))* ($last $last_of $last_at)] $($rest)*);
    };
}

tuples!([A] [] (V A 0));
tuples!([A B] [] (V A 0) (W B 1));
tuples!([A B C] [] (V A 0) (W B 1) (X C 2));
tuples!([A B C D] [] (V A 0) (W B 1) (X C 2) (Y D 3));
tuples!([A B C D E] [] (V A 0) (W B 1) (X C 2) (Y D 3) (Z E 4));
tuples!([A B C D E F] [] (U A 0) (V B 1) (W C 2) (X D 3) (Y E 4) (Z F 5));

/// A range of values for the leading fields of an index of kinds `K`. Bounds that exclude a value exclude all entries
/// with it, whatever their other fields are.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a range over an index of `{K}`",
    label = "expected a range of values for the first field, or of tuples of values for the first ones"
)]
pub trait IndexRange<K> {
    /// The bounds, each encoded and joined.
    ///
    /// # Errors
    /// See [`IndexValue::encode`].
    fn encode_bounds(&self) -> Result<EncodedBounds, InvalidIndexValue>;
}

/// The bounds of a range of leading fields.
type EncodedBounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

fn encoded<K>(values: &impl IndexPrefix<K>) -> Result<Vec<u8>, InvalidIndexValue> {
    let mut fields = Vec::new();
    values.encode_fields(&mut fields)?;
    Ok(fields)
}

fn bound<K>(values: &Bound<impl IndexPrefix<K>>) -> Result<Bound<Vec<u8>>, InvalidIndexValue> {
    Ok(match values {
        Bound::Included(values) => Bound::Included(encoded(values)?),
        Bound::Excluded(values) => Bound::Excluded(encoded(values)?),
        Bound::Unbounded => Bound::Unbounded,
    })
}

impl<K, V: IndexPrefix<K>, W: IndexPrefix<K>> IndexRange<K> for (Bound<V>, Bound<W>) {
    fn encode_bounds(&self) -> Result<EncodedBounds, InvalidIndexValue> {
        Ok((bound(&self.0)?, bound(&self.1)?))
    }
}

macro_rules! ranges {
    ($($range:ident: |$bounds:ident| $start:expr, $end:expr;)+) => {$(
        impl<K, V: IndexPrefix<K>> IndexRange<K> for $range<V> {
            fn encode_bounds(&self) -> Result<EncodedBounds, InvalidIndexValue> {
                let $bounds = self;
                Ok(($start, $end))
            }
        }
    )+};
}

ranges! {
    Range: |range| Bound::Included(encoded(&range.start)?), Bound::Excluded(encoded(&range.end)?);
    RangeInclusive: |range| Bound::Included(encoded(range.start())?), Bound::Included(encoded(range.end())?);
    RangeFrom: |range| Bound::Included(encoded(&range.start)?), Bound::Unbounded;
    RangeTo: |range| Bound::Unbounded, Bound::Excluded(encoded(&range.end)?);
    RangeToInclusive: |range| Bound::Unbounded, Bound::Included(encoded(&range.end)?);
}

impl<K> IndexRange<K> for RangeFull {
    fn encode_bounds(&self) -> Result<EncodedBounds, InvalidIndexValue> {
        Ok((Bound::Unbounded, Bound::Unbounded))
    }
}
