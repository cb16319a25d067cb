//! What can be wrong with a set-up.

/// The fewest bytes of a token.
pub(crate) const SHORTEST_TOKEN: usize = 16;

/// A set-up that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConsoleError {
    /// A token that is guessed too easily.
    #[error("the token {name:?} has {bytes} bytes, expected at least {SHORTEST_TOKEN}")]
    ShortToken {
        /// Its name.
        name: String,
        /// How many bytes it has.
        bytes: usize,
    },

    /// Two tokens of one name: the audit could not tell who did something.
    #[error("there are two tokens of the name {name:?}")]
    TokenTwice {
        /// The name.
        name: String,
    },
}
