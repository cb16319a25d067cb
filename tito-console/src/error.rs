//! What can be wrong with a setup.

use std::path::PathBuf;

use tito_core::SharedError;

/// The fewest bytes of a token.
pub(crate) const SHORTEST_TOKEN: usize = 16;

/// A setup that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConsoleError {
    /// A token that is too easy to guess.
    #[error("the token {name:?} has {bytes} bytes, expected at least {SHORTEST_TOKEN}")]
    ShortToken {
        /// Its name.
        name: String,
        /// How many bytes it has.
        bytes: usize,
    },

    /// Two tokens with one name: the audit could not tell who did something.
    #[error("there are two tokens with the name {name:?}")]
    TokenTwice {
        /// The name.
        name: String,
    },
}

/// Why a database can't be served on a socket of its directory.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A database without a directory: it is in memory, or on a cluster. Serve the API with the router, or on a port.
    #[error("the database has no directory for a socket: serve its API with the router, or on a port")]
    NoDirectory,

    /// This process already serves the database.
    #[error("this process already serves the database in {}", directory.display())]
    AlreadyServed {
        /// Its directory.
        directory: PathBuf,
    },

    /// The socket, or what goes with it, could not be made.
    #[error("the database in {} can't be served on a socket", directory.display())]
    Io {
        /// Its directory.
        directory: PathBuf,
        /// What the system said.
        #[source]
        source: SharedError,
    },
}
