//! The names of metadata to which Tito gives a meaning.

/// The id of the command that led to the event.
pub const CAUSATION_ID: &str = "causation_id";

/// What the command belongs to; the command's id, unless its envelope says otherwise.
pub const CORRELATION_ID: &str = "correlation_id";

/// Who asked for the command.
pub const ASKED_BY: &str = "asked_by";

/// What the command is called.
pub const COMMAND_TYPE: &str = "command_type";

/// When the command was given, as RFC 3339 writes it.
pub const COMMAND_TIME: &str = "command_time";
