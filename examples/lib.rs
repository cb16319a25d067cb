//! The examples are the files beside this one; run one with `cargo run --example NAME`.

/// The README, so that its programs are compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

/// The pages of the guide, so that their examples are compiled with the tests.
#[cfg(doctest)]
pub mod guide {
    /// `docs/guide/unique-events.md`.
    #[doc = include_str!("../docs/guide/unique-events.md")]
    pub struct UniqueEvents;

    /// `docs/guide/history.md`.
    #[doc = include_str!("../docs/guide/history.md")]
    pub struct History;

    /// `docs/guide/operation.md`.
    #[doc = include_str!("../docs/guide/operation.md")]
    pub struct Operation;
}
