//! Which names tables, indexes and topics may have.

use crate::error::{Result, TitoError};

/// Longer names leave too little room for ids within a key.
const LONGEST: usize = 255;

/// Checks the name of a table, an index or anything else that becomes a component of keys.
pub(crate) fn check(what: &'static str, name: &str) -> Result<()> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > LONGEST {
        "it is longer than 255 bytes"
    } else if name.contains(':') {
        "it contains ':', which separates the parts of keys"
    } else if name.chars().any(char::is_control) {
        "it contains a control character"
    } else {
        return Ok(());
    };
    Err(TitoError::InvalidName { what, name: cut(name), reason })
}

/// Checks the name of an event type, which is that of its topic.
///
/// # Errors
/// [`TitoError::InvalidName`].
pub fn check_event_type(name: &str) -> Result<()> {
    check("event type", name)?;
    if name.contains('@') {
        let reason = "it contains '@', which separates a topic from a group";
        return Err(TitoError::InvalidName { what: "event type", name: cut(name), reason });
    }
    Ok(())
}

/// The name of a topic, checked while a program is compiled.
///
/// # Panics
/// If no topic can have it, by the rules of [`check_event_type`].
pub const fn checked_topic_name(name: &'static str) -> &'static str {
    assert!(!name.is_empty(), "a topic's name can't be empty");
    assert!(name.len() <= LONGEST, "a topic's name can't be longer than 255 bytes");
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        assert!(byte != b':' && byte != b'@', "a topic's name can't contain ':' or '@'");
        // The second byte of U+0080 to U+009F; a text has one behind each first byte of two.
        let is_control = byte < 0x20 || byte == 0x7f || byte == 0xc2 && bytes[at + 1] < 0xa0;
        assert!(!is_control, "a topic's name can't contain a control character");
        at += 1;
    }
    name
}

/// Checks the name of a group of a topic.
pub(crate) fn check_group(name: &str) -> Result<()> {
    check("group", name)?;
    if name.contains('@') {
        let reason = "it contains '@', which separates a topic from a group";
        return Err(TitoError::InvalidName { what: "group", name: cut(name), reason });
    }
    Ok(())
}

/// Checks a name of what is stored by name, such as a fleet of workers.
///
/// # Errors
/// [`TitoError::InvalidName`].
pub fn check_name(what: &'static str, name: &str) -> Result<()> {
    check(what, name)
}

fn cut(name: &str) -> String {
    name.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_keep_the_rules_of_names() {
        let names = ["order", "ä", "\u{a0}", "", ":", "a@b", "\n", "a\u{7f}", "\u{80}", "\u{9f}b", "é\u{85}"];
        for name in names {
            let passes = std::panic::catch_unwind(|| checked_topic_name(name)).is_ok();
            assert_eq!(passes, check_event_type(name).is_ok(), "{name:?}");
        }
    }
}
