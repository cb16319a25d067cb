//! Strict readers of the two headers.

use super::context::TraceContext;

/// The length of `traceparent` in version 00: two digits, 32, 16 and two, with `-` between them.
const LENGTH: usize = 55;

/// The longest `tracestate` that is kept, in bytes: what the specification asks everybody to pass on.
const LONGEST_STATE: usize = 512;

/// The most members of a `tracestate`.
const MOST_MEMBERS: usize = 32;

/// Why a text is no `traceparent` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent header: {reason}")]
pub struct InvalidTraceParent {
    reason: &'static str,
}

pub(super) fn trace_parent(text: &[u8]) -> Result<TraceContext, InvalidTraceParent> {
    let invalid = |reason| InvalidTraceParent { reason };
    let (Some(head), rest) = (text.get(..LENGTH), text.get(LENGTH..).unwrap_or_default()) else {
        return Err(invalid("it is shorter than 55 characters"));
    };
    if [2, 35, 52].into_iter().any(|at| head[at] != b'-') {
        return Err(invalid("its parts of 2, 32, 16 and 2 digits are not separated by '-'"));
    }
    let not_hex = || invalid("it has something other than lower-case hexadecimal digits in a part");
    let version = hex(&head[..2]).ok_or_else(not_hex)?;
    let trace_id = hex(&head[3..35]).ok_or_else(not_hex)?;
    let parent_id = hex(&head[36..52]).ok_or_else(not_hex)?;
    let flags = hex(&head[53..]).ok_or_else(not_hex)?;
    match (version, rest) {
        (0xff, _) => return Err(invalid("version ff is forbidden")),
        (_, []) => {}
        (0, _) => return Err(invalid("version 00 is 55 characters long")),
        // A later version may add parts, and these four stay.
        (_, [b'-', ..]) => {}
        _ => return Err(invalid("what follows the flags is not separated by '-'")),
    }
    if trace_id == 0 || parent_id == 0 {
        return Err(invalid("an id of zeros is forbidden"));
    }
    // 16 digits fit into 64 bits, and 2 into 8.
    Ok(TraceContext::from_parts(trace_id, parent_id as u64, flags as u8))
}

fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some((number << 4) | u128::from(value))
    })
}

/// Whether a text is a `tracestate` header with a member at least.
pub(super) fn is_trace_state(text: &str) -> bool {
    let members = || text.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty());
    text.len() <= LONGEST_STATE && (1..=MOST_MEMBERS).contains(&members().count()) && members().all(is_member)
}

fn is_member(member: &str) -> bool {
    member.split_once('=').is_some_and(|(key, value)| is_key(key) && is_value(value))
}

/// `vendor`, or `tenant@vendor`.
fn is_key(key: &str) -> bool {
    let (tenant, vendor) = match key.split_once('@') {
        Some((tenant, vendor)) => (Some(tenant), vendor),
        None => (None, key),
    };
    let is_name = |name: &str, longest: usize, may_begin_with_digit: bool| {
        (1..=longest).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(&byte))
            && name.starts_with(|first: char| {
                first.is_ascii_lowercase() || (may_begin_with_digit && first.is_ascii_digit())
            })
    };
    match tenant {
        Some(tenant) => is_name(tenant, 241, true) && is_name(vendor, 14, false),
        None => is_name(vendor, 256, false),
    }
}

/// Printable ASCII without the two marks of the list, that does not end in a space.
fn is_value(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=')
        && !value.ends_with(' ')
}
