//! Keys as errors show them.

use std::fmt;

/// A key as errors show it: printable, unprintable bytes as `\xNN`, cut after 256 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(Vec<u8>);

impl KeyText {
    /// Longer keys are cut in messages, not in [`KeyText::as_bytes`].
    const SHOWN: usize = 256;

    /// The key itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for KeyText {
    fn from(key: &[u8]) -> Self {
        Self(key.to_vec())
    }
}

impl From<Vec<u8>> for KeyText {
    fn from(key: Vec<u8>) -> Self {
        Self(key)
    }
}

impl fmt::Display for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(Self::SHOWN)];
        for chunk in shown.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() {
                    write!(f, "{}", character.escape_default())?;
                } else {
                    write!(f, "{character}")?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        if shown.len() < self.0.len() {
            write!(f, "… ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// The keys in a row, with dots after them if there are more.
pub(super) fn shown_keys(keys: &[KeyText], total: u64) -> String {
    let mut shown = keys.iter().map(KeyText::to_string).collect::<Vec<_>>().join(", ");
    if total > keys.len() as u64 {
        shown.push_str(", …");
    }
    shown
}
