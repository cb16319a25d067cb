//! The examples are the files beside this one; run one with `cargo run --example NAME`.

/// The README, so that its programs are compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

/// The guide's page about groups.
#[cfg(doctest)]
#[doc = include_str!("../docs/guide/groups.md")]
pub struct GroupsGuide;

/// The guide's page about partitions.
#[cfg(doctest)]
#[doc = include_str!("../docs/guide/partitions.md")]
pub struct PartitionsGuide;
