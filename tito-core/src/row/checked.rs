//! A serializer that refuses what JSON would hold as something else, or as nothing that can be read again.

use std::cell::RefCell;
use std::fmt::{self, Display, Write};

use serde::ser::{
    self, Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};
use serde::{Serialize, Serializer};

/// How deep lists and objects can lie in one another: a reader of JSON refuses the 128th.
pub(super) const DEEPEST: u32 = 127;

/// The name under which serde_json writes text that is JSON already.
const RAW: &str = "$serde_json::private::RawValue";

/// Where what was refused is, from the inside out. Nothing is kept of what is good.
#[derive(Default)]
pub(super) struct Path {
    steps: RefCell<Vec<Step>>,
    /// Whether integers of more than 64 bits are refused.
    is_narrow: bool,
}

enum Step {
    Field(String),
    Element(usize),
}

impl Path {
    /// For a value of which it is not known what it is read as.
    pub(super) fn narrow() -> Self {
        Self { is_narrow: true, ..Self::default() }
    }

    fn takes<E: ser::Error>(&self, is_narrow: bool, number: impl Display) -> Result<(), E> {
        if is_narrow || !self.is_narrow {
            return Ok(());
        }
        Err(E::custom(format_args!(
            "{number} has more than 64 bits, which not every reader takes: write it as text, or publish a job, whose type is known"
        )))
    }

    fn push<T, E>(&self, result: Result<T, E>, step: impl FnOnce() -> Step) -> Result<T, E> {
        result.inspect_err(|_| self.steps.borrow_mut().push(step()))
    }
}

impl Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.steps.borrow().iter().rev().enumerate() {
            match step {
                Step::Element(at) => write!(f, "[{at}]")?,
                Step::Field(name) => {
                    if number > 0 {
                        f.write_char('.')?;
                    }
                    f.write_str(name)?;
                }
            }
        }
        Ok(())
    }
}

/// The key of a map as its path shows it.
fn field_of(key: &(impl Serialize + ?Sized)) -> Step {
    let text = serde_json::to_string(key).unwrap_or_default();
    Step::Field(serde_json::from_str(&text).unwrap_or(text))
}

/// Passes everything on to `inner`, and refuses floats that are not finite, which would become `null`, and what is nested
/// too deeply.
pub(super) struct Checked<'p, S> {
    inner: S,
    path: &'p Path,
    /// Of the lists and objects around the value.
    depth: u32,
    /// Whether the value is text that is JSON already.
    is_raw: bool,
}

impl<'p, S: Serializer> Checked<'p, S> {
    pub(super) fn new(inner: S, path: &'p Path) -> Self {
        Self { inner, path, depth: 0, is_raw: false }
    }

    /// One more list or object, or two.
    fn enter<C>(
        self,
        levels: u32,
        is_raw: bool,
        begin: impl FnOnce(S) -> Result<C, S::Error>,
    ) -> Result<Compound<'p, C>, S::Error> {
        let depth = self.depth + levels;
        if depth > DEEPEST {
            return Err(too_deep());
        }
        Ok(Compound { inner: begin(self.inner)?, path: self.path, depth, is_raw, element: 0 })
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

/// The first integer of more than 64 bits in JSON text.
fn wide_integer(text: &str) -> Option<&str> {
    let (bytes, mut at) = (text.as_bytes(), 0);
    while let Some(byte) = bytes.get(at) {
        let length = match byte {
            b'"' => length_of_text(&bytes[at..]),
            b'-' | b'0'..=b'9' => {
                let is_of_it = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                let length = bytes[at..].iter().take_while(|byte| is_of_it(byte)).count();
                let number = &text[at..at + length];
                let is_integer = number.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
                if is_integer && number.parse::<i64>().is_err() && number.parse::<u64>().is_err() {
                    return Some(number);
                }
                length
            }
            _ => 1,
        };
        at += length;
    }
    None
}

/// The length of a text in quotes at the beginning of JSON text.
fn length_of_text(bytes: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = bytes.iter().skip(1).position(|byte| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(bytes.len(), |end| end + 2)
}

/// A value on its way to the serializer within.
struct Value<'a, 'p, T: ?Sized> {
    value: &'a T,
    path: &'p Path,
    depth: u32,
    is_raw: bool,
}

impl<T: Serialize + ?Sized> Serialize for Value<'_, '_, T> {
    fn serialize<S: Serializer>(&self, inner: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Checked { inner, path: self.path, depth: self.depth, is_raw: self.is_raw })
    }
}

/// A list or an object on its way.
pub(super) struct Compound<'p, C> {
    inner: C,
    path: &'p Path,
    depth: u32,
    is_raw: bool,
    /// The number of the next element of a list.
    element: usize,
}

impl<'p, C> Compound<'p, C> {
    fn value<'a, T: ?Sized>(&self, value: &'a T) -> Value<'a, 'p, T> {
        Value { value, path: self.path, depth: self.depth, is_raw: self.is_raw }
    }
}

macro_rules! pass_on {
    ($($method:ident: $type:ty,)+) => {$(
        fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
            self.inner.$method(value)
        }
    )+};
}

impl<'p, S: Serializer> Serializer for Checked<'p, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Compound<'p, S::SerializeSeq>;
    type SerializeTuple = Compound<'p, S::SerializeTuple>;
    type SerializeTupleStruct = Compound<'p, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Compound<'p, S::SerializeTupleVariant>;
    type SerializeMap = Compound<'p, S::SerializeMap>;
    type SerializeStruct = Compound<'p, S::SerializeStruct>;
    type SerializeStructVariant = Compound<'p, S::SerializeStructVariant>;

    pass_on! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_char: char, serialize_bytes: &[u8], serialize_unit_struct: &'static str,
    }

    fn serialize_i128(self, value: i128) -> Result<S::Ok, S::Error> {
        self.path.takes(i64::try_from(value).is_ok() || u64::try_from(value).is_ok(), value)?;
        self.inner.serialize_i128(value)
    }

    fn serialize_u128(self, value: u128) -> Result<S::Ok, S::Error> {
        self.path.takes(u64::try_from(value).is_ok(), value)?;
        self.inner.serialize_u128(value)
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
            if let Some(number) = wide_integer(value) {
                self.path.takes(false, number)?;
            }
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
        self.inner.serialize_some(&Value { value, path: self.path, depth: self.depth, is_raw: self.is_raw })
    }

    fn serialize_unit_variant(self, name: &'static str, index: u32, variant: &'static str) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<S::Ok, S::Error> {
        self.inner
            .serialize_newtype_struct(name, &Value { value, path: self.path, depth: self.depth, is_raw: self.is_raw })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let (path, depth) = (self.path, self.depth + 1);
        if depth > DEEPEST {
            return Err(too_deep());
        }
        let written =
            self.inner.serialize_newtype_variant(name, index, variant, &Value { value, path, depth, is_raw: false });
        path.push(written, || Step::Field(variant.to_string()))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        self.enter(1, false, |inner| inner.serialize_seq(length))
    }

    fn serialize_tuple(self, length: usize) -> Result<Self::SerializeTuple, S::Error> {
        self.enter(1, false, |inner| inner.serialize_tuple(length))
    }

    fn serialize_tuple_struct(self, name: &'static str, length: usize) -> Result<Self::SerializeTupleStruct, S::Error> {
        self.enter(1, false, |inner| inner.serialize_tuple_struct(name, length))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        self.enter(2, false, |inner| inner.serialize_tuple_variant(name, index, variant, length))
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.enter(1, false, |inner| inner.serialize_map(length))
    }

    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Self::SerializeStruct, S::Error> {
        let is_raw = name == RAW;
        self.enter(u32::from(!is_raw), is_raw, |inner| inner.serialize_struct(name, length))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.enter(2, false, |inner| inner.serialize_struct_variant(name, index, variant, length))
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! lists {
    ($($trait:ident $method:ident,)+) => {$(
        impl<C: $trait> $trait for Compound<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                let (value, at) = (self.value(value), self.element);
                self.element += 1;
                self.path.push(self.inner.$method(&value), || Step::Element(at))
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
        impl<C: $trait> $trait for Compound<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), C::Error> {
                let (value, is_raw) = (self.value(value), self.is_raw);
                let written = self.inner.serialize_field(name, &value);
                if is_raw { written } else { self.path.push(written, || Step::Field(name.to_string())) }
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

impl<C: SerializeMap> SerializeMap for Compound<'_, C> {
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
        self.path.push(self.inner.serialize_entry(key, &value), || field_of(key))
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.inner.end()
    }
}
