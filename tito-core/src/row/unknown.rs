//! The members of an object that this program does not know.

use std::fmt;

use serde_json::value::RawValue;

/// Members of a JSON object that a later version of Tito has stored and this one does not know. They are kept as they
/// are, after the known ones, when the object is changed. If there are none, they cost nothing.
#[derive(Clone, Default)]
pub struct UnknownMembers(Vec<(String, Box<RawValue>)>);

impl UnknownMembers {
    /// Whether there are none, as for everything that this version or an earlier one wrote.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their names and values, in the order in which they were read.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), &**value))
    }

    /// Adds one.
    pub fn push(&mut self, name: String, value: Box<RawValue>) {
        self.0.push((name, value));
    }

    /// Adds them to a JSON object.
    pub(super) fn add_to(&self, mut object: Vec<u8>) -> Result<Vec<u8>, serde_json::Error> {
        if self.is_empty() || object.pop_if(|last| *last == b'}').is_none() {
            return Ok(object);
        }
        for (name, value) in self.iter() {
            if object.last() != Some(&b'{') {
                object.push(b',');
            }
            serde_json::to_writer(&mut object, name)?;
            object.push(b':');
            object.extend_from_slice(value.get().as_bytes());
        }
        object.push(b'}');
        Ok(object)
    }
}

impl PartialEq for UnknownMembers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().map(texts).eq(other.iter().map(texts))
    }
}

impl Eq for UnknownMembers {}

impl fmt::Debug for UnknownMembers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(texts)).finish()
    }
}

fn texts<'a>((name, value): (&'a str, &'a RawValue)) -> (&'a str, &'a str) {
    (name, value.get())
}
