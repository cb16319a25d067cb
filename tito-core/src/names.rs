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
