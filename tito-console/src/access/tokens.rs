//! Named tokens, each with a role.

use std::fmt;

use axum::http::header;
use axum::http::request::Parts;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Who, unauthenticated};
use crate::api::Role;
use crate::error::{ConsoleError, SHORTEST_TOKEN};
use crate::failure::Answer;

/// Tokens, as their hashes: what is in memory, and what a debugger or a log shows, opens nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tokens(Vec<Token>);

#[derive(Clone)]
struct Token {
    who: Who,
    hash: [u8; 32],
    bytes: usize,
}

impl Tokens {
    pub(crate) fn and(mut self, name: String, role: Role, secret: &str) -> Self {
        self.0.push(Token { who: Who { name, role }, hash: Sha256::digest(secret).into(), bytes: secret.len() });
        self
    }

    pub(crate) fn check(&self) -> Result<(), ConsoleError> {
        for (at, Token { who, bytes, .. }) in self.0.iter().enumerate() {
            let name = &who.name;
            if *bytes < SHORTEST_TOKEN {
                return Err(ConsoleError::ShortToken { name: name.clone(), bytes: *bytes });
            }
            if self.0[..at].iter().any(|other| other.who.name == *name) {
                return Err(ConsoleError::TokenTwice { name: name.clone() });
            }
        }
        Ok(())
    }

    /// Compares with every token, and all of each: how long it takes tells nothing of them.
    pub(super) fn who(&self, parts: &Parts) -> Answer<Who> {
        let given = parts.headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
        let given: [u8; 32] = Sha256::digest(given.ok_or_else(unauthenticated)?).into();
        let mut found = None;
        for token in &self.0 {
            if bool::from(token.hash.ct_eq(&given)) {
                found = Some(&token.who);
            }
        }
        found.cloned().ok_or_else(unauthenticated)
    }
}

/// The token of `Bearer TOKEN`, whatever the case of the first word.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("who", &self.who).finish_non_exhaustive()
    }
}
