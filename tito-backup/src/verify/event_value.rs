//! The value of an event of a store, as far as other rows go by it. `docs/format.md` specifies it.

/// What other rows of the store are named after.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    pub(super) id: &'a str,
    pub(super) entity_type: &'a str,
    pub(super) entity_id: &'a str,
}

/// Whether it is what an erased event has left, which has no parts.
pub(super) fn is_placeholder(value: &[u8]) -> bool {
    value.first() == Some(&2)
}

/// `None` if it is not an event in the only format there is.
pub(super) fn parts_of(value: &[u8]) -> Option<Parts<'_>> {
    let rest = value.strip_prefix(&[1])?.get(16..)?;
    let (_version, rest) = number(rest)?;
    let rest = rest.get(1..)?;
    let (id, rest) = text(rest)?;
    let (subject, rest) = text(rest)?;
    let (count, mut rest) = number(rest)?;
    for _ in 0..count.checked_mul(2)? {
        rest = text(rest)?.1;
    }
    let mut tokens = subject.split('.');
    let (entity_type, entity_id, _event_type) = (tokens.next()?, tokens.next()?, tokens.next()?);
    tokens.next().is_none().then_some(Parts { id, entity_type, entity_id })
}

/// Seven bits a byte, the lowest first.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (position, &byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f).checked_shl(7 * position as u32)?;
        if byte < 0x80 {
            return Some((number, &bytes[position + 1..]));
        }
    }
    None
}

fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = number(bytes)?;
    let (text, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The vector of `docs/format.md`.
    const VALUE: &str = "01000000a0953f2f06fbffffffffffffffac0201016105742e692e6501016b01767b7d";

    fn bytes() -> Vec<u8> {
        VALUE
            .as_bytes()
            .chunks(2)
            .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn the_parts_are_those_of_the_page_of_the_format() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md");
        assert!(std::fs::read_to_string(page).unwrap().contains(VALUE));
        assert_eq!(parts_of(&bytes()), Some(Parts { id: "a", entity_type: "t", entity_id: "i" }));
    }

    #[test]
    fn malformed_values_are_none_and_no_panic() {
        let whole = bytes();
        // The data may be empty.
        for length in 0..whole.len() - 2 {
            assert_eq!(parts_of(&whole[..length]), None, "{length}");
        }
        for position in 0..whole.len() {
            for byte in [0, 0x7f, 0x80, 0xff] {
                let mut altered = whole.clone();
                altered[position] = byte;
                parts_of(&altered);
            }
        }
        let mut endless = whole[..17].to_vec();
        endless.extend([0xff; 40]);
        assert_eq!(parts_of(&endless), None);
    }
}
