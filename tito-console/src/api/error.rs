//! What every refusal looks like.

use serde::{Deserialize, Serialize};

/// The body of every answer whose status is 400 or more: `{"error": {"code": …, "message": …, "retryable": …}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: Problem,
}

/// What went wrong, and whether trying again can help.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Which kind it is, for programs.
    pub code: Code,
    /// A message for people: which name, what was expected.
    pub message: String,
    /// Whether the same call can succeed later.
    #[serde(default)]
    pub retryable: bool,
}

/// The kinds of what can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Code {
    /// 400: a name, a number, a body or a query that can't be used.
    Invalid,
    /// 401: not known.
    Unauthenticated,
    /// 403: known, and not allowed.
    Forbidden,
    /// 404: there is nothing with this name.
    NotFound,
    /// 405: the path exists, but takes other methods.
    MethodNotAllowed,
    /// 408: the body of the request did not arrive in time.
    RequestTimeout,
    /// 409: what is there does not allow it, or somebody else changed it at the same time.
    Conflict,
    /// 413: a body, or what is to be stored, is too large.
    TooLarge,
    /// 429: too many such calls are under way.
    Busy,
    /// 500: it may or may not have taken effect.
    OutcomeUnknown,
    /// 500: stored bytes that can't be read, or a bug.
    Internal,
    /// 501: this server can't do it: it was not given what it needs.
    Unsupported,
    /// 503: the engine is closed, or its storage does not answer.
    Unavailable,
    /// 504: it took longer than the server lets a call take. Of a change, part may be done.
    TimedOut,
    /// 507: there is no space.
    StorageFull,
    /// One that a later version says.
    #[serde(other)]
    Unknown,
}

impl Code {
    /// The HTTP status that goes with it.
    pub fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Busy => 429,
            Self::OutcomeUnknown | Self::Internal | Self::Unknown => 500,
            Self::Unsupported => 501,
            Self::Unavailable => 503,
            Self::TimedOut => 504,
            Self::StorageFull => 507,
        }
    }
}
