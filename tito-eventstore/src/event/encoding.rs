//! The value under which an event is stored. `docs/format.md` specifies it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::str;

use tito_core::{BoxError, Timestamp};

use crate::data::Codec;
use crate::token;

/// The only format there is.
const FORMAT: u8 = 1;

/// What is written of an event.
pub(crate) struct Fields<'a> {
    pub(crate) recorded: Timestamp,
    /// Microseconds since the Unix epoch.
    pub(crate) time: i64,
    pub(crate) version: u32,
    pub(crate) codec: Codec,
    pub(crate) id: &'a str,
    /// `type.id.event_type`.
    pub(crate) subject: &'a str,
    pub(crate) metadata: &'a BTreeMap<String, String>,
    pub(crate) data: &'a [u8],
}

pub(crate) fn encode(fields: &Fields<'_>) -> Vec<u8> {
    let mut value = Vec::with_capacity(32 + fields.id.len() + fields.subject.len() + fields.data.len());
    value.push(FORMAT);
    value.extend_from_slice(&fields.recorded.raw().to_le_bytes());
    value.extend_from_slice(&fields.time.to_le_bytes());
    push_number(&mut value, u64::from(fields.version));
    value.push(code(fields.codec));
    push_text(&mut value, fields.id);
    push_text(&mut value, fields.subject);
    push_number(&mut value, fields.metadata.len() as u64);
    for (name, text) in fields.metadata {
        push_text(&mut value, name);
        push_text(&mut value, text);
    }
    value.extend_from_slice(fields.data);
    value
}

/// Where the parts of a value are.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) recorded: Timestamp,
    pub(super) time: i64,
    pub(super) version: u32,
    pub(super) codec: Codec,
    pub(super) id: Range<usize>,
    pub(super) subject: Range<usize>,
    /// The dots of the subject, from its start.
    pub(super) dots: [usize; 2],
    /// Names and texts by turns.
    pub(super) metadata: Vec<Range<usize>>,
    pub(super) data: usize,
}

impl Layout {
    /// Finds the parts, and checks that texts are texts.
    pub(super) fn of(value: &[u8]) -> Result<Self, BoxError> {
        let mut rest = Rest { value, at: 0 };
        if rest.byte()? != FORMAT {
            return Err("it begins with another format than 1".into());
        }
        let recorded = Timestamp::from_raw(u64::from_le_bytes(rest.array()?));
        let time = i64::from_le_bytes(rest.array()?);
        let version = u32::try_from(rest.number()?)?;
        let codec = codec(rest.byte()?)?;
        let id = rest.text()?;
        let subject = rest.text()?;
        let mut dots = value[subject.clone()].iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err("its subject has not three tokens".into());
        };
        let mut metadata = Vec::new();
        for _ in 0..rest.number()? {
            metadata.extend([rest.text()?, rest.text()?]);
        }
        Ok(Self { recorded, time, version, codec, id, subject, dots: [first, second], metadata, data: rest.at })
    }
}

/// What is wrong with the bytes of an event.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Damage {
    /// The event's entity, where the bytes before the damage still tell.
    pub(crate) entity: Option<String>,
    reason: BoxError,
}

impl Damage {
    pub(super) fn of(value: &[u8], reason: BoxError) -> Self {
        Self { entity: entity_of(value), reason }
    }
}

/// The entity of an event that can't be read as a whole.
fn entity_of(value: &[u8]) -> Option<String> {
    let mut rest = Rest { value, at: 0 };
    if rest.byte().ok()? != FORMAT {
        return None;
    }
    rest.take(16).ok()?;
    rest.number().ok()?;
    rest.byte().ok()?;
    rest.text().ok()?;
    let subject = str::from_utf8(&value[rest.text().ok()?]).ok()?;
    let tokens: Vec<&str> = subject.split('.').collect();
    let is_subject = tokens.len() == 3 && tokens.iter().all(|part| token::check(part).is_ok());
    is_subject.then(|| tokens[..2].join("."))
}

struct Rest<'a> {
    value: &'a [u8],
    at: usize,
}

impl Rest<'_> {
    fn take(&mut self, length: usize) -> Result<Range<usize>, BoxError> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.value.len()).ok_or("it ends too early")?;
        let range = self.at..end;
        self.at = end;
        Ok(range)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BoxError> {
        let range = self.take(N)?;
        Ok(self.value[range].try_into()?)
    }

    fn byte(&mut self) -> Result<u8, BoxError> {
        let range = self.take(1)?;
        Ok(self.value[range.start])
    }

    fn number(&mut self) -> Result<u64, BoxError> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number is longer than 64 bits".into())
    }

    fn text(&mut self) -> Result<Range<usize>, BoxError> {
        let length = usize::try_from(self.number()?)?;
        let range = self.take(length)?;
        str::from_utf8(&self.value[range.clone()])?;
        Ok(range)
    }
}

/// LEB128: seven bits a byte, the lowest first, the eighth says that more follow.
fn push_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    push_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn code(codec: Codec) -> u8 {
    match codec {
        Codec::Binary => 0,
        Codec::Json => 1,
        Codec::MessagePack => 2,
        Codec::Protobuf => 3,
    }
}

fn codec(code: u8) -> Result<Codec, BoxError> {
    Ok(match code {
        0 => Codec::Binary,
        1 => Codec::Json,
        2 => Codec::MessagePack,
        3 => Codec::Protobuf,
        code => return Err(format!("its codec is {code}, expected 0 to 3").into()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn codecs() -> impl Strategy<Value = Codec> {
        prop_oneof![Just(Codec::Binary), Just(Codec::Json), Just(Codec::MessagePack), Just(Codec::Protobuf)]
    }

    /// The page is what says how events are stored.
    #[test]
    fn the_vector_of_the_page_holds() {
        let page = include_str!("../../../docs/format.md");
        let vector = page.lines().find_map(|line| line.strip_prefix("log_event_value ")).unwrap();
        let (input, expected) = vector.split_once(" => ").unwrap();
        let input: serde_json::Value = serde_json::from_str(input).unwrap();
        let metadata: BTreeMap<String, String> = serde_json::from_value(input["metadata"].clone()).unwrap();
        let value = encode(&Fields {
            recorded: Timestamp::from_raw(input["recorded"].as_u64().unwrap()),
            time: input["time"].as_i64().unwrap(),
            version: u32::try_from(input["version"].as_u64().unwrap()).unwrap(),
            codec: codec(u8::try_from(input["codec"].as_u64().unwrap()).unwrap()).unwrap(),
            id: input["id"].as_str().unwrap(),
            subject: input["subject"].as_str().unwrap(),
            metadata: &metadata,
            data: input["data"].as_str().unwrap().as_bytes(),
        });
        let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            recorded in any::<u64>(),
            time in any::<i64>(),
            version in any::<u32>(),
            codec in codecs(),
            id in ".{1,300}",
            subject in "[^.]{1,200}[.][^.]{1,20}[.][^.]{1,20}",
            metadata in proptest::collection::btree_map(".{0,20}", ".{0,200}", 0..5),
            data in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let recorded = Timestamp::from_raw(recorded);
            let fields =
                Fields { recorded, time, version, codec, id: &id, subject: &subject, metadata: &metadata, data: &data };
            let value = encode(&fields);
            let layout = Layout::of(&value).unwrap();
            prop_assert_eq!((layout.recorded, layout.time, layout.version), (recorded, time, version));
            prop_assert_eq!(layout.codec, codec);
            prop_assert_eq!(&value[layout.id.clone()], id.as_bytes());
            prop_assert_eq!(&value[layout.subject.clone()], subject.as_bytes());
            prop_assert_eq!(&value[layout.data..], &data[..]);
            let texts: Vec<&[u8]> = layout.metadata.iter().map(|range| &value[range.clone()]).collect();
            let expected: Vec<&[u8]> =
                metadata.iter().flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()]).collect();
            prop_assert_eq!(texts, expected);
            for dot in layout.dots {
                prop_assert_eq!(subject.as_bytes()[dot], b'.');
            }
        }

        #[test]
        fn any_bytes_are_an_event_or_an_error(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Layout::of(&bytes);
            if let Some(first) = bytes.first_mut() {
                *first = FORMAT;
            }
            if let Ok(layout) = Layout::of(&bytes) {
                prop_assert!(layout.data <= bytes.len());
            }
        }

        #[test]
        fn a_value_that_was_cut_is_an_error(cut in 0usize..40) {
            let fields = Fields {
                recorded: Timestamp::ZERO,
                time: 0,
                version: 1,
                codec: Codec::Json,
                id: "an id",
                subject: "account.17.opened",
                metadata: &BTreeMap::new(),
                data: b"",
            };
            let value = encode(&fields);
            prop_assume!(cut < value.len());
            prop_assert!(Layout::of(&value[..cut]).is_err());
        }
    }
}
