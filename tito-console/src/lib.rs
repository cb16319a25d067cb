#![doc = include_str!("../README.md")]

mod access;
pub mod api;
mod app;
mod builder;
mod call;
mod error;
mod failure;
mod input;
mod letters;
mod limits;
mod redact;
mod routes;
mod serve;
mod shown;
mod timely;

pub use access::Who;
pub use builder::{ByApplication, ByTokens, Console, ConsoleBuilder, Unguarded};
pub use error::{ConsoleError, ServeError};
pub use limits::ConsoleLimits;
pub use redact::{Part, Redacted};
pub use serve::Serving;
#[cfg(unix)]
pub use serve::{find_socket, serve_local};
