#![doc = include_str!("../README.md")]

mod access;
pub mod api;
mod app;
mod audit;
mod bounded;
mod builder;
mod call;
mod checks;
mod error;
mod failure;
mod health;
mod input;
mod kept;
mod letters;
mod limits;
mod lines;
mod pages;
mod redact;
mod routes;
mod serve;
mod shown;
mod timely;
mod watch;

pub use access::Who;
pub use audit::{AUDIT_STORE, Audit, AuditRecord, AuditedChange};
pub use builder::{ByApplication, ByTokens, Console, ConsoleBuilder, Unguarded};
pub use error::{ConsoleError, ServeError};
pub use limits::ConsoleLimits;
pub use redact::{Part, Redacted};
pub use serve::Serving;
#[cfg(unix)]
pub use serve::{find_socket, serve_local};
pub use watch::Watch;
