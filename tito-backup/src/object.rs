//! A JSON object of which a few members are looked at and changed, and all others stay as they are written.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// The members in their order.
#[derive(Debug, Default)]
pub(crate) struct Object(Vec<(String, Box<RawValue>)>);

impl Object {
    pub(crate) fn read(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }

    pub(crate) fn written(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// A member, `None` if it is not there. One of another type is an error.
    pub(crate) fn get<'a, T: Deserialize<'a>>(&'a self, name: &str) -> serde_json::Result<Option<T>> {
        let found = self.0.iter().find(|(member, _)| member == name);
        found.map(|(_, value)| serde_json::from_str(value.get())).transpose()
    }

    pub(crate) fn set(&mut self, name: &str, value: &impl Serialize) -> serde_json::Result<()> {
        let value = to_raw_value(value)?;
        match self.0.iter_mut().find(|(member, _)| member == name) {
            Some((_, before)) => *before = value,
            None => self.0.push((name.to_string(), value)),
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|(member, _)| member != name);
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut object = Object::default();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if object.names().any(|member| member == name) {
                        return Err(A::Error::custom(format!("the member {name:?} is there twice")));
                    }
                    object.0.push((name, value));
                }
                Ok(object)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_not_changed_stays_as_it_is_written() {
        let mut object = Object::read(br#"{ "b": 0.10, "a": {"z":[ 1 ]}, "paused": false }"#).unwrap();
        object.set("paused", &true).unwrap();
        object.set("new", &7).unwrap();
        assert_eq!(object.written().unwrap(), br#"{"b":0.10,"a":{"z":[ 1 ]},"paused":true,"new":7}"#);
        object.remove("a");
        assert_eq!(object.get::<bool>("a").unwrap(), None);
        assert_eq!(object.get::<u64>("new").unwrap(), Some(7));
        assert!(object.get::<u64>("paused").is_err());
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for malformed in [&b""[..], b"[]", b"null", b"{", br#"{"a":1,"a":2}"#, b"\xff"] {
            assert!(Object::read(malformed).is_err(), "{malformed:?}");
        }
    }
}
