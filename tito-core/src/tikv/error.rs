//! What the TiKV engine says of failures, as the source of a [`TitoError`].

use std::error::Error as StdError;

use crate::error::{KeyText, TitoError};

/// What went wrong between the engine and the cluster.
///
/// It is the source of a [`TitoError::Storage`], which a retry does not help, of a [`TitoError::Unavailable`], which it
/// can, or of a [`TitoError::CommitUnknown`].
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
    #[error("no PD server could be used at {}: {}", addresses.join(", "), chain(source))]
    Unreachable {
        /// The addresses as they were given.
        addresses: Vec<String>,
        /// What came of it.
        #[source]
        source: Box<tito_tikv::Error>,
    },

    /// A call that the cluster refused, or did not carry out in any attempt.
    #[error("{call}{} failed, and {}: {}", at(key.as_ref()), help(*retry_can_help), chain(source))]
    Call {
        /// The call.
        call: &'static str,
        /// The key it was about; the first one, where it was about several.
        key: Option<KeyText>,
        /// Whether the same call can succeed later.
        retry_can_help: bool,
        /// What the client of TiKV said.
        #[source]
        source: Box<tito_tikv::Error>,
    },

    /// A call that had no usable answer within its deadline. It can succeed later.
    #[error("{call}{} was not done within {deadline_millis} ms, and can be tried again{}", at(key.as_ref()), before(last.as_deref()))]
    Deadline {
        /// The call.
        call: &'static str,
        /// The key it was about; the first one, where it was about several.
        key: Option<KeyText>,
        /// How long the call may take.
        deadline_millis: u64,
        /// What the last attempt met, if it was answered.
        #[source]
        last: Option<Box<tito_tikv::Error>>,
    },

    /// A commit whose answer was lost, and whose primary key could not be asked about its outcome either.
    #[error("the commit{} was sent and its outcome could not be found out: {}", at(key.as_ref()), chain(source))]
    Undetermined {
        /// The first of the keys that were written.
        key: Option<KeyText>,
        /// What was met last.
        #[source]
        source: Box<tito_tikv::Error>,
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

/// An error of the client's, out of a call about this key.
pub(super) fn failed(call: &'static str, key: Option<&[u8]>, error: tito_tikv::Error) -> TitoError {
    let (key, retry_can_help) = (key.map(KeyText::from), error.can_retry_help());
    let source = match error {
        tito_tikv::Error::Closed => return super::shut_down(),
        tito_tikv::Error::Deadline { millis, last, .. } => {
            let last = last.map(|last| Box::new((*last).clone()));
            TiKVError::Deadline { call, key, deadline_millis: millis, last }
        }
        source => TiKVError::Call { call, key, retry_can_help, source: Box::new(source) },
    };
    if retry_can_help {
        TitoError::Unavailable { operation: call, source: source.into() }
    } else {
        TitoError::Storage { operation: call, source: source.into() }
    }
}

fn at(key: Option<&KeyText>) -> String {
    key.map_or_else(String::new, |key| format!(" of key {key}"))
}

fn help(retry_can_help: bool) -> &'static str {
    if retry_can_help { "can be tried again" } else { "trying again does not help" }
}

fn before(last: Option<&tito_tikv::Error>) -> String {
    last.map_or_else(String::new, |error| format!("; the last attempt failed: {}", chain(error)))
}

/// The error with what is behind it: the client's errors say what was asked, and their sources what came of it.
fn chain(error: &tito_tikv::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy() -> tito_tikv::Error {
        let error = "ServerIsBusy".to_string();
        tito_tikv::Error::Region { request: "KvGet", region: 7, error, lasting: false }
    }

    #[test]
    fn a_message_says_which_call_which_key_and_whether_a_retry_can_help() {
        let error = failed("get", Some(b"data:user:\x01\xff"), busy());
        assert_eq!(
            error.to_string(),
            "the storage was not available in get: get of key data:user:\\u{1}\\xff failed, and can be tried again: \
             region 7 refused KvGet: ServerIsBusy"
        );
    }

    #[test]
    fn a_missed_deadline_tells_what_was_met_before_it() {
        let late = tito_tikv::Error::Deadline { call: "scan", millis: 500, last: Some(std::sync::Arc::new(busy())) };
        let text = failed("scan", None, late).to_string();
        assert!(text.ends_with(
            "scan was not done within 500 ms, and can be tried again; the last attempt failed: region 7 refused KvGet: ServerIsBusy"
        ));
    }
}
