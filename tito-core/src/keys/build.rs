//! What keys are built from, for the crates that have their own keys: kinds, components, numbers of fixed length.

use uuid::Uuid;
use uuid::fmt::Hyphenated;

pub use super::escape::{push_escaped, unescape};
pub use super::kind::Kind;

/// The latest second at which an event can fall due: the largest that fits 10 digits, in the year 2286.
pub const MAX_EVENT_SECONDS: i64 = 9_999_999_999;

/// The most partitions that a topic can have: as many as 4 digits can number, from 0 to 9,999.
pub const MAX_PARTITIONS: u16 = 10_000;

/// The separator between the components of a key.
pub const SEPARATOR: u8 = b':';

/// The key of a kind with these components, escaped and joined.
pub fn key(kind: Kind, components: &[&[u8]]) -> Vec<u8> {
    let length = components.iter().map(|component| component.len() + 1).sum::<usize>();
    let mut key = Vec::with_capacity(kind.prefix().len() + length + 64);
    key.extend_from_slice(kind.prefix().as_bytes());
    for (number, component) in components.iter().enumerate() {
        if number > 0 {
            key.push(SEPARATOR);
        }
        push_escaped(&mut key, component);
    }
    key
}

/// The key and the separator after it: the prefix of all keys with further components.
pub fn with_separator(mut key: Vec<u8>) -> Vec<u8> {
    key.push(SEPARATOR);
    key
}

/// A component as text; `None` if no builder writes such bytes.
pub fn text(component: &[u8]) -> Option<String> {
    String::from_utf8(unescape(component)?).ok()
}

/// Appends a UUID in the one form used in keys.
pub fn push_uuid(out: &mut Vec<u8>, id: Uuid) {
    out.extend_from_slice(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
}

/// A UUID in the one form used in keys.
pub fn uuid(component: &[u8]) -> Option<Uuid> {
    let is_canonical = component.len() == Hyphenated::LENGTH && !component.iter().any(u8::is_ascii_uppercase);
    Uuid::try_parse_ascii(component).ok().filter(|_| is_canonical)
}

/// Appends a number with `width` digits, padded with zeros.
pub fn push_digits(out: &mut Vec<u8>, number: u64, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    let mut rest = number;
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// The number in a component of `width` digits; `None` if it is anything else.
pub fn digits(component: &[u8], width: usize) -> Option<u64> {
    if component.len() != width {
        return None;
    }
    component.iter().try_fold(0u64, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0')))
}

/// Appends the four digits of a partition.
///
/// # Panics
/// If a topic can't have a partition with this number.
pub fn push_partition(key: &mut Vec<u8>, partition: u16) {
    // Four digits: a larger number would become the key of another partition.
    assert!(
        partition < MAX_PARTITIONS,
        "a topic has at most {MAX_PARTITIONS} partitions, so none is number {partition}"
    );
    push_digits(key, u64::from(partition), 4);
}

/// `{kind}:{queue}:{partition}:{timestamp}:{uuid}`: where an event of a queue lies.
pub fn event_place(kind: Kind, queue: &str, partition: u16, seconds: i64, id: Uuid) -> Vec<u8> {
    let mut key = event_second(kind, queue, partition, seconds);
    push_uuid(&mut key, id);
    key
}

/// Where the events of one second begin.
pub fn event_second(kind: Kind, queue: &str, partition: u16, seconds: i64) -> Vec<u8> {
    let mut key = event_partition(kind, queue, partition);
    // Out of range only for a caller that did not check; clamped so that no key can leave its partition.
    push_digits(&mut key, seconds.clamp(0, MAX_EVENT_SECONDS) as u64, 10);
    with_separator(key)
}

/// The prefix of the keys of the events of one partition.
pub fn event_partition(kind: Kind, queue: &str, partition: u16) -> Vec<u8> {
    let mut key = with_separator(key(kind, &[queue.as_bytes()]));
    push_partition(&mut key, partition);
    with_separator(key)
}
