//! Rules that values keep before they become events.

use tito_core::BoxError;

/// A value that knows whether it is valid. Values of a type with `#[tito(validate)]` are appended only if they are.
///
/// ```
/// use tito_core::BoxError;
/// use tito_eventstore::types::Validator;
///
/// struct Deposited {
///     cents: u64,
/// }
///
/// impl Validator for Deposited {
///     fn validate(&self) -> Result<(), BoxError> {
///         if self.cents == 0 { Err("a deposit of nothing".into()) } else { Ok(()) }
///     }
/// }
///
/// assert!(Deposited { cents: 0 }.validate().is_err());
/// ```
pub trait Validator {
    /// Whether the value is valid by itself.
    ///
    /// # Errors
    /// What is wrong with it.
    fn validate(&self) -> Result<(), BoxError>;
}
