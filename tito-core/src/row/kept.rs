//! An object together with the members that this program does not know.
//!
//! Serde's `flatten` would do this by reading all members into a form of its own first, which is slow and spoils raw
//! values. Here the object is read as it would be without: only the names of members are looked at on their way to the
//! type, and those that are not among its fields go elsewhere.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer, forward_to_deserialize_any, ser};
use serde_json::value::RawValue;

use super::KeepsUnknownMembers;
use super::unknown::UnknownMembers;

/// Reads and writes an object with its unknown members.
pub struct Kept<T>(pub T);

impl<'de, T: KeepsUnknownMembers> Deserialize<'de> for Kept<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut unknown = UnknownMembers::default();
        let mut value = T::deserialize(Collecting { inner: deserializer, unknown: &mut unknown })?;
        *value.unknown_mut() = unknown;
        Ok(Self(value))
    }
}

impl<T: KeepsUnknownMembers> Serialize for Kept<&T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.unknown().is_empty() {
            return self.0.serialize(serializer);
        }
        with_unknown(self.0).map_err(ser::Error::custom)?.serialize(serializer)
    }
}

fn with_unknown<T: KeepsUnknownMembers>(value: &T) -> Result<Box<RawValue>, serde_json::Error> {
    let object = value.unknown().add_to(serde_json::to_vec(value)?)?;
    serde_json::from_slice(&object)
}

/// A type as the visitor of its fields sees it: everything goes through to `inner`, but members that are no fields.
struct Collecting<'a, D> {
    inner: D,
    unknown: &'a mut UnknownMembers,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Collecting<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_struct(name, fields, Members { inner: visitor, fields, next: 0, unknown: self.unknown })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The visitor of an object's fields, or the members on their way to it.
struct Members<'a, T> {
    inner: T,
    fields: &'static [&'static str],
    /// The field that is likely to come next, as members are written in the order of the fields.
    next: usize,
    unknown: &'a mut UnknownMembers,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Members<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Members { inner: map, fields: self.fields, next: 0, unknown: self.unknown })
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, mut seed: K) -> Result<Option<K::Value>, A::Error> {
        loop {
            let name = Name { seed, fields: self.fields, next: &mut self.next };
            match self.inner.next_key_seed(name)? {
                None => return Ok(None),
                Some(Named::Field(field)) => return Ok(Some(field)),
                Some(Named::Unknown(name, unused)) => {
                    self.unknown.push(name, self.inner.next_value()?);
                    seed = unused;
                }
            }
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

/// Reads the name of a member.
struct Name<'a, K> {
    seed: K,
    fields: &'static [&'static str],
    next: &'a mut usize,
}

enum Named<F, K> {
    Field(F),
    /// It is not a field's; with what was to read one.
    Unknown(String, K),
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for Name<'_, K> {
    type Value = Named<K::Value, K>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'de, K: DeserializeSeed<'de>> Visitor<'de> for Name<'_, K> {
    type Value = Named<K::Value, K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        let Self { seed, fields, next } = self;
        // Those that are absent were left out.
        let (passed, rest) = fields.split_at(*next);
        let ahead = rest.iter().position(|field| *field == name).map(|at| *next + at);
        match ahead.or_else(|| passed.iter().position(|field| *field == name)) {
            Some(at) => {
                *next = at + 1;
                seed.deserialize(StrDeserializer::new(name)).map(Named::Field)
            }
            None => Ok(Named::Unknown(name.to_string(), seed)),
        }
    }
}

/// For fields that are objects with unknown members, or lists, maps and options of such:
/// `#[serde(with = "tito_core::row::nested")]`.
pub mod nested {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{KeepsUnknownMembers, Kept};

    /// What a field can be.
    pub trait Nested: Sized {
        /// As it is read.
        type Read<'de>: Deserialize<'de>;

        /// As it is in memory.
        fn of(read: Self::Read<'_>) -> Self;

        /// Writes it with the unknown members.
        fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
    }

    impl<T: KeepsUnknownMembers> Nested for Vec<T> {
        type Read<'de> = Vec<Kept<T>>;

        fn of(read: Vec<Kept<T>>) -> Self {
            read.into_iter().map(|Kept(value)| value).collect()
        }

        fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(self.iter().map(Kept))
        }
    }

    impl<T: KeepsUnknownMembers> Nested for BTreeMap<String, T> {
        type Read<'de> = BTreeMap<String, Kept<T>>;

        fn of(read: BTreeMap<String, Kept<T>>) -> Self {
            read.into_iter().map(|(name, Kept(value))| (name, value)).collect()
        }

        fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.iter().map(|(name, value)| (name, Kept(value))))
        }
    }

    impl<T: KeepsUnknownMembers> Nested for Option<T> {
        type Read<'de> = Option<Kept<T>>;

        fn of(read: Option<Kept<T>>) -> Self {
            read.map(|Kept(value)| value)
        }

        fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.as_ref().map(Kept).serialize(serializer)
        }
    }

    /// Reads a field.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, T: Nested, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        T::Read::deserialize(deserializer).map(T::of)
    }

    /// Writes a field.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<T: Nested, S: Serializer>(field: &T, serializer: S) -> Result<S::Ok, S::Error> {
        field.write(serializer)
    }
}
