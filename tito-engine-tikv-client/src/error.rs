//! What the TiKV engine says of failures, as the source of a [`TitoError`](tito_core::TitoError).

use tito_core::{KeyText, SharedError};

/// What went wrong between the engine and the cluster.
///
/// It is the source of a [`TitoError::Storage`](tito_core::TitoError::Storage), which trying again does not help, of a
/// [`TitoError::Unavailable`](tito_core::TitoError::Unavailable), which it does, or of a
/// [`TitoError::CommitUnknown`](tito_core::TitoError::CommitUnknown).
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TiKVError {
    /// A setting of the builder that can't be used. Nothing was connected to.
    #[error("setting {setting} can't be used: {reason}")]
    InvalidSetting {
        /// The builder's method.
        setting: &'static str,
        /// What was expected.
        reason: String,
    },

    /// No PD server answered as one.
    #[error("no PD server could be used at {}: {reason}", addresses.join(", "))]
    Unreachable {
        /// The addresses as they were given.
        addresses: Vec<String>,
        /// What came of it.
        reason: String,
    },

    /// A call that the cluster refused, or did not carry out in any attempt.
    #[error("{call}{} failed in attempt {attempt}, and {}: {source}", at(key.as_ref()), help(*retry_can_help))]
    Call {
        /// The call.
        call: &'static str,
        /// The key it was about; the first one, where it was about several.
        key: Option<KeyText>,
        /// How often it was tried.
        attempt: u32,
        /// Whether the same call can succeed later.
        retry_can_help: bool,
        /// What the client of TiKV said.
        #[source]
        source: SharedError,
    },

    /// A call that had no usable answer within its deadline. It can succeed later.
    #[error("{call}{} was not done within {deadline_millis} ms, in attempt {attempt}{}", at(key.as_ref()), before(last.as_ref()))]
    Deadline {
        /// The call.
        call: &'static str,
        /// The key it was about; the first one, where it was about several.
        key: Option<KeyText>,
        /// The attempt that the deadline cut off.
        attempt: u32,
        /// How long the call may take.
        deadline_millis: u64,
        /// What the attempt before it met, if there was one.
        #[source]
        last: Option<SharedError>,
    },

    /// A commit that failed in a way that does not tell whether it took effect, and then could not be rolled back or
    /// looked up either.
    #[error("the commit failed ({commit}), and its outcome could not be found out ({settling})")]
    Undetermined {
        /// Why the commit failed.
        #[source]
        commit: SharedError,
        /// Why the outcome could not be found out.
        settling: String,
    },

    /// A call that would harm the cluster. Nothing was sent.
    #[error("{call} was refused: {reason}")]
    Refused {
        /// The call.
        call: &'static str,
        /// Why.
        reason: String,
    },
}

fn at(key: Option<&KeyText>) -> String {
    key.map_or_else(String::new, |key| format!(" of key {key}"))
}

fn help(retry_can_help: bool) -> &'static str {
    match retry_can_help {
        true => "can be tried again",
        false => "trying again does not help",
    }
}

fn before(last: Option<&SharedError>) -> String {
    last.map_or_else(String::new, |error| format!("; the one before failed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_which_call_which_key_which_attempt_and_whether_a_retry_can_help() {
        let key = Some(KeyText::from(b"data:user:\x01\xff".as_slice()));
        let error = TiKVError::Call { call: "get", key, attempt: 3, retry_can_help: true, source: "busy".into() };
        assert_eq!(
            error.to_string(),
            "get of key data:user:\\u{1}\\xff failed in attempt 3, and can be tried again: busy"
        );
    }

    #[test]
    fn a_missed_deadline_tells_what_was_met_before_it() {
        let error = TiKVError::Deadline {
            call: "scan",
            key: None,
            attempt: 2,
            deadline_millis: 500,
            last: Some("busy".into()),
        };
        assert_eq!(error.to_string(), "scan was not done within 500 ms, in attempt 2; the one before failed: busy");
    }
}
