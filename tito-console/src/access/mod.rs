//! Who may come in, and what they may do.
//!
//! | file | idea |
//! |---|---|
//! | `tokens` | named tokens, each with a role |
//! | `functions` | two functions of the application |

mod functions;
mod tokens;

use axum::http::request::Parts;

pub(crate) use self::functions::Functions;
pub(crate) use self::tokens::Tokens;
use crate::api::{Code, Role};
use crate::failure::{Answer, Failure};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// Their name in the audit: the token's name, what the application said, or the operating system's user.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// How it is found out who asks.
#[derive(Debug)]
pub(crate) enum Access {
    Tokens(Tokens),
    Functions(Functions),
    /// Whoever reached a listener of Tito's own may do everything; the listener says who that is.
    Listener,
}

impl Access {
    pub(crate) fn who(&self, parts: &Parts) -> Answer<Who> {
        match self {
            Self::Tokens(tokens) => tokens.who(parts),
            Self::Functions(functions) => functions.who(parts),
            Self::Listener => parts.extensions.get::<Who>().cloned().ok_or_else(unauthenticated),
        }
    }
}

fn unauthenticated() -> Failure {
    Failure::new(Code::Unauthenticated, "a token is needed that this server knows: Authorization: Bearer …")
}
