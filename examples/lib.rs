//! The examples are the files beside this one; run one with `cargo run --example NAME`.

/// The README, so that its programs are compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

/// The pages of the guide, likewise.
#[cfg(doctest)]
pub mod guide {
    #[doc = include_str!("../docs/guide/backup.md")]
    pub struct Backup;

    #[doc = include_str!("../docs/guide/coming-from.md")]
    pub struct ComingFrom;

    #[doc = include_str!("../docs/guide/console.md")]
    pub struct Console;

    #[doc = include_str!("../docs/guide/embedded.md")]
    pub struct Embedded;

    #[doc = include_str!("../docs/guide/erasure.md")]
    pub struct Erasure;

    #[doc = include_str!("../docs/guide/event-store.md")]
    pub struct EventStore;

    #[doc = include_str!("../docs/guide/event-types.md")]
    pub struct EventTypes;

    #[doc = include_str!("../docs/guide/groups.md")]
    pub struct Groups;

    #[doc = include_str!("../docs/guide/handlers.md")]
    pub struct Handlers;

    #[doc = include_str!("../docs/guide/history.md")]
    pub struct History;

    #[doc = include_str!("../docs/guide/models.md")]
    pub struct Models;

    #[doc = include_str!("../docs/guide/observability.md")]
    pub struct Observability;

    #[doc = include_str!("../docs/guide/operation.md")]
    pub struct Operation;

    #[doc = include_str!("../docs/guide/order.md")]
    pub struct Order;

    #[doc = include_str!("../docs/guide/ownership.md")]
    pub struct Ownership;

    #[doc = include_str!("../docs/guide/partitions.md")]
    pub struct Partitions;

    #[doc = include_str!("../docs/guide/policies.md")]
    pub struct Policies;

    #[doc = include_str!("../docs/guide/projections.md")]
    pub struct Projections;

    #[doc = include_str!("../docs/guide/reactors.md")]
    pub struct Reactors;

    #[doc = include_str!("../docs/guide/schedules.md")]
    pub struct Schedules;

    #[doc = include_str!("../docs/guide/transactions-and-batches.md")]
    pub struct TransactionsAndBatches;

    #[doc = include_str!("../docs/guide/unique-events.md")]
    pub struct UniqueEvents;
}
