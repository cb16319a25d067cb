//! What the closure of a transaction returns.

use crate::error::{Result, TitoError};

/// What a closure that runs in a transaction returns: a `Result` with a [`TitoError`]. A closure that returns anything
/// else does not compile, and the compiler says why.
#[diagnostic::on_unimplemented(
    message = "the closure of a transaction ends in `{Self}`, which is no `Result<_, TitoError>`",
    label = "its closure ends in `{Self}`",
    note = "where it ends in a future, an `.await` is missing there",
    note = "where the error is one of your own, call `transaction_with(TxOptions::default(), …)`, which takes every error \
            that is `From<TitoError>`"
)]
pub trait TransactionResult<T, Error> {
    #[doc(hidden)]
    fn into_result(self) -> Result<T>;

    /// The result that the caller of the transaction gets.
    #[doc(hidden)]
    fn returned(result: Result<T>) -> Result<T, Error>;
}

impl<T> TransactionResult<T, TitoError> for Result<T> {
    fn into_result(self) -> Result<T> {
        self
    }

    fn returned(result: Result<T>) -> Result<T> {
        result
    }
}
