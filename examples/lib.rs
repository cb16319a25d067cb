//! The examples are the files beside this one; run one with `cargo run --example NAME`.

/// The README, so that its programs are compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

/// The pages of the guide, so that their examples are compiled with the tests.
#[cfg(doctest)]
pub mod guide {
    /// `docs/guide/handlers.md`.
    #[doc = include_str!("../docs/guide/handlers.md")]
    pub struct Handlers;

    /// `docs/guide/observability.md`.
    #[doc = include_str!("../docs/guide/observability.md")]
    pub struct Observability;
}
