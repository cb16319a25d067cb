//! The examples are the files beside this one; run one with `cargo run --example NAME`.

/// The README, so that its programs are compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

/// The guide, likewise.
#[cfg(doctest)]
pub mod guide {
    #[doc = include_str!("../docs/guide/schedules.md")]
    pub struct Schedules;
}
