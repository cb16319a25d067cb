//! A serializer that refuses what JSON would hold as something else, or as nothing that can be read again.

use std::fmt::Display;

use serde::ser::{
    self, Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};
use serde::{Serialize, Serializer};

/// How deep lists and objects can lie in one another: a reader of JSON refuses the 128th.
pub(super) const DEEPEST: u32 = 127;

/// The name under which serde_json writes text that is JSON already.
const RAW: &str = "$serde_json::private::RawValue";

/// Passes everything on to `inner`, and refuses floats that are not finite, which would become `null`, and what is nested
/// too deeply.
pub(super) struct Checked<S> {
    inner: S,
    /// Of the lists and objects around the value.
    depth: u32,
    /// Whether the value is text that is JSON already.
    is_raw: bool,
}

impl<S: Serializer> Checked<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, depth: 0, is_raw: false }
    }

    /// What is within one more list or object, or within two.
    fn enter(self, levels: u32) -> Result<(S, u32), S::Error> {
        let depth = self.depth + levels;
        if depth > DEEPEST { Err(too_deep()) } else { Ok((self.inner, depth)) }
    }
}

fn too_deep<E: ser::Error>() -> E {
    E::custom(format_args!("it is nested more than {DEEPEST} deep, and could not be read again"))
}

fn finite<E: ser::Error>(is_finite: bool, number: impl Display) -> Result<(), E> {
    if is_finite { Ok(()) } else { Err(E::custom(format_args!("{number} has no form in JSON"))) }
}

/// How deep lists and objects lie in one another in JSON text.
fn depth_of(text: &str) -> u32 {
    let (mut depth, mut deepest, mut is_text, mut is_escaped) = (0_u32, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'[' | b'{' if !is_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A value on its way to the serializer within.
struct Value<'a, T: ?Sized> {
    value: &'a T,
    depth: u32,
    is_raw: bool,
}

impl<T: Serialize + ?Sized> Serialize for Value<'_, T> {
    fn serialize<S: Serializer>(&self, inner: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Checked { inner, depth: self.depth, is_raw: self.is_raw })
    }
}

/// A list or an object on its way.
pub(super) struct Compound<C> {
    inner: C,
    depth: u32,
    is_raw: bool,
}

impl<C> Compound<C> {
    fn value<'a, T: ?Sized>(&self, value: &'a T) -> Value<'a, T> {
        Value { value, depth: self.depth, is_raw: self.is_raw }
    }
}

macro_rules! pass_on {
    ($($method:ident: $type:ty,)+) => {$(
        fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
            self.inner.$method(value)
        }
    )+};
}

impl<S: Serializer> Serializer for Checked<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Compound<S::SerializeSeq>;
    type SerializeTuple = Compound<S::SerializeTuple>;
    type SerializeTupleStruct = Compound<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Compound<S::SerializeTupleVariant>;
    type SerializeMap = Compound<S::SerializeMap>;
    type SerializeStruct = Compound<S::SerializeStruct>;
    type SerializeStructVariant = Compound<S::SerializeStructVariant>;

    pass_on! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_i128: i128, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_u128: u128, serialize_char: char, serialize_bytes: &[u8], serialize_unit_struct: &'static str,
    }

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        finite(value.is_finite(), value)?;
        self.inner.serialize_f32(value)
    }

    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        finite(value.is_finite(), value)?;
        self.inner.serialize_f64(value)
    }

    fn serialize_str(self, value: &str) -> Result<S::Ok, S::Error> {
        if self.is_raw {
            if self.depth.saturating_add(depth_of(value)) > DEEPEST {
                return Err(too_deep());
            }
            // Text can be JSON and still say what no reader takes, such as a number of a thousand digits.
            serde_json::from_str::<serde_json::Value>(value).map_err(S::Error::custom)?;
        }
        self.inner.serialize_str(value)
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_none()
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_some(&Value { value, depth: self.depth, is_raw: self.is_raw })
    }

    fn serialize_unit_variant(self, name: &'static str, index: u32, variant: &'static str) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_struct(name, &Value { value, depth: self.depth, is_raw: self.is_raw })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let (inner, depth) = self.enter(1)?;
        inner.serialize_newtype_variant(name, index, variant, &Value { value, depth, is_raw: false })
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        let (inner, depth) = self.enter(1)?;
        Ok(Compound { inner: inner.serialize_seq(length)?, depth, is_raw: false })
    }

    fn serialize_tuple(self, length: usize) -> Result<Self::SerializeTuple, S::Error> {
        let (inner, depth) = self.enter(1)?;
        Ok(Compound { inner: inner.serialize_tuple(length)?, depth, is_raw: false })
    }

    fn serialize_tuple_struct(self, name: &'static str, length: usize) -> Result<Self::SerializeTupleStruct, S::Error> {
        let (inner, depth) = self.enter(1)?;
        Ok(Compound { inner: inner.serialize_tuple_struct(name, length)?, depth, is_raw: false })
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        let (inner, depth) = self.enter(2)?;
        Ok(Compound { inner: inner.serialize_tuple_variant(name, index, variant, length)?, depth, is_raw: false })
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        let (inner, depth) = self.enter(1)?;
        Ok(Compound { inner: inner.serialize_map(length)?, depth, is_raw: false })
    }

    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Self::SerializeStruct, S::Error> {
        let is_raw = name == RAW;
        let (inner, depth) = self.enter(u32::from(!is_raw))?;
        Ok(Compound { inner: inner.serialize_struct(name, length)?, depth, is_raw })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        let (inner, depth) = self.enter(2)?;
        Ok(Compound { inner: inner.serialize_struct_variant(name, index, variant, length)?, depth, is_raw: false })
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! lists {
    ($($trait:ident $method:ident,)+) => {$(
        impl<C: $trait> $trait for Compound<C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                let value = self.value(value);
                self.inner.$method(&value)
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        }
    )+};
}

lists! {
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field,
}

macro_rules! objects {
    ($($trait:ident,)+) => {$(
        impl<C: $trait> $trait for Compound<C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), C::Error> {
                let value = self.value(value);
                self.inner.serialize_field(name, &value)
            }

            fn skip_field(&mut self, name: &'static str) -> Result<(), C::Error> {
                self.inner.skip_field(name)
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        }
    )+};
}

objects! { SerializeStruct, SerializeStructVariant, }

impl<C: SerializeMap> SerializeMap for Compound<C> {
    type Ok = C::Ok;
    type Error = C::Error;

    // What can be a key, the serializer of JSON knows.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        self.inner.serialize_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        let value = self.value(value);
        self.inner.serialize_value(&value)
    }

    fn serialize_entry<K: Serialize + ?Sized, T: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &T,
    ) -> Result<(), C::Error> {
        let value = self.value(value);
        self.inner.serialize_entry(key, &value)
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.inner.end()
    }
}
