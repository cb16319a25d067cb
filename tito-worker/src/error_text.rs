//! What is noted of an error.

use crate::fingerprint::LONGEST_FOLDED;

/// How much of an error's text is noted, in bytes.
pub(crate) const LONGEST_ERROR: usize = 500;

/// An error with its causes: as much of it as its fingerprint is made of, or more.
pub(crate) fn text_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source.filter(|_| text.len() < LONGEST_FOLDED) {
        let cause_text = cause.to_string();
        // Some errors show their source themselves.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
