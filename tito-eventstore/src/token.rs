//! The tokens that entities, event types and patterns are made of.

/// Longer tokens leave too little room within a key.
const LONGEST: usize = 255;

/// What is wrong with a token, in words that name it.
pub(crate) fn check(token: &str) -> Result<(), String> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if (1..=LONGEST).contains(&token.len()) && token.as_bytes().iter().all(is_plain) {
        return Ok(());
    }
    let reason = if token.is_empty() {
        return Err("a token is empty".to_string());
    } else if token.len() > LONGEST {
        "is longer than 255 bytes"
    } else if token.contains('.') {
        "contains '.', which separates tokens"
    } else if token.contains(['*', '>']) {
        "contains '*' or '>', which stand for other tokens"
    } else if token.chars().any(char::is_whitespace) {
        "contains white space"
    } else if token.chars().any(char::is_control) {
        "contains a control character"
    } else {
        return Ok(());
    };
    Err(format!("the token {:?} {reason}", cut(token)))
}

/// A text as errors show it.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}
