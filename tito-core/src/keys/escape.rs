//! Escaping of one component of a key.
//!
//! It achieves three things at once: no component contains a `:`, none contains the [`TERMINATOR`] of index values, and
//! escaped components compare as the raw bytes do. The last one rules out the usual `%3A`, because the escape of a byte
//! must sort where that byte sorts:
//!
//! | byte | written as |
//! |---|---|
//! | `0x00` to `0x22` (controls, space, `!`, `"`) | `"` and two lower-case hexadecimal digits |
//! | `:` | `;0` |
//! | `;` | `;1` |
//! | every other byte | itself |

/// Ends a text value inside an index key; smaller than every byte of escaped text, so that a text sorts before all
/// texts that it is a prefix of.
pub(super) const TERMINATOR: u8 = b'!';

const LOW: u8 = b'"';
const SEPARATOR: u8 = b':';
const AFTER_SEPARATOR: u8 = b';';
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends the escaped form of `raw` to `out`.
///
/// ```
/// let mut key = Vec::new();
/// tito_core::keys::push_escaped(&mut key, "a b:c;".as_bytes());
/// assert_eq!(key, b"a\"20b;0c;1");
/// ```
pub fn push_escaped(out: &mut Vec<u8>, raw: &[u8]) {
    out.reserve(raw.len());
    for &byte in raw {
        match byte {
            0..=LOW => {
                out.extend_from_slice(&[LOW, HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            SEPARATOR => out.extend_from_slice(b";0"),
            AFTER_SEPARATOR => out.extend_from_slice(b";1"),
            _ => out.push(byte),
        }
    }
}

/// The raw bytes of an escaped component; `None` if [`push_escaped`] never writes such bytes.
pub fn unescape(escaped: &[u8]) -> Option<Vec<u8>> {
    let mut raw = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter().copied();
    while let Some(byte) = bytes.next() {
        raw.push(match byte {
            LOW => {
                let value = (hex_digit(bytes.next()?)? << 4) | hex_digit(bytes.next()?)?;
                if value > LOW {
                    return None;
                }
                value
            }
            AFTER_SEPARATOR => match bytes.next()? {
                b'0' => SEPARATOR,
                b'1' => AFTER_SEPARATOR,
                _ => return None,
            },
            0..LOW | SEPARATOR => return None,
            _ => byte,
        });
    }
    Some(raw)
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}
