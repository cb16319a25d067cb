//! Pages of a listing, and keys as text.

use serde::{Deserialize, Serialize};

/// A page of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// What was found, in the order of the listing.
    pub items: Vec<T>,
    /// What to pass as `after` to continue; `None` at the end.
    #[serde(default)]
    pub next: Option<String>,
}

/// Which page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageQuery {
    /// How many items at most: 100 by default, at most 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A stored key as text: printable ASCII as it is, every other byte and `%` as `%` and two hexadecimal digits. It
/// identifies dead letters and places in listings, so nothing of it may be lost.
pub fn encode_key(key: &[u8]) -> String {
    let mut text = String::with_capacity(key.len());
    for byte in key {
        match byte {
            b' '..=b'~' if *byte != b'%' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// The key of which [`encode_key`] made a text; `None` for a text that it never makes.
pub fn decode_key(text: &str) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, others)) = rest.split_first() {
        rest = others;
        if *byte != b'%' {
            key.push(*byte);
            continue;
        }
        let (digits, others) = rest.split_at_checked(2)?;
        let digits =
            std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        key.push(u8::from_str_radix(digits?, 16).ok()?);
        rest = others;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_its_text() {
        let all: Vec<u8> = (0..=255).collect();
        for key in [&b"dead:mail@a:0001:17"[..], b"", b"100%", b"%41", &all] {
            let text = encode_key(key);
            assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text:?}");
            assert_eq!(decode_key(&text).as_deref(), Some(key));
        }
        for text in ["%", "%4", "%4g", "%+1", "a%"] {
            assert_eq!(decode_key(text), None, "{text:?}");
        }
    }
}
