//! The examples are the files beside this one; run one with `cargo run -p tito-examples --example NAME`.

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

    #[doc = include_str!("../docs/guide/command-line.md")]
    pub struct CommandLine;

    #[doc = include_str!("../docs/guide/comparison.md")]
    pub struct Comparison;

    #[cfg(feature = "console")]
    #[doc = include_str!("../docs/guide/console.md")]
    pub struct Console;

    #[cfg(feature = "tikv")]
    #[doc = include_str!("../docs/guide/deploying.md")]
    pub struct Deploying;

    #[doc = include_str!("../docs/guide/embedded.md")]
    pub struct Embedded;

    #[cfg(feature = "tikv")]
    #[doc = include_str!("../docs/guide/engines.md")]
    pub struct Engines;

    #[doc = include_str!("../docs/guide/envelopes.md")]
    pub struct Envelopes;

    #[doc = include_str!("../docs/guide/erasure.md")]
    pub struct Erasure;

    #[doc = include_str!("../docs/guide/event-store.md")]
    pub struct EventStore;

    #[doc = include_str!("../docs/guide/event-types.md")]
    pub struct EventTypes;

    #[doc = include_str!("../docs/guide/events.md")]
    pub struct Events;

    #[doc = include_str!("../docs/guide/groups.md")]
    pub struct Groups;

    #[doc = include_str!("../docs/guide/handlers.md")]
    pub struct Handlers;

    #[doc = include_str!("../docs/guide/history.md")]
    pub struct History;

    #[doc = include_str!("../docs/guide/migrations.md")]
    pub struct Migrations;

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

    #[doc = include_str!("../docs/guide/queries.md")]
    pub struct Queries;

    #[doc = include_str!("../docs/guide/reactors.md")]
    pub struct Reactors;

    #[doc = include_str!("../docs/guide/README.md")]
    pub struct Index;

    #[doc = include_str!("../docs/guide/schedules.md")]
    pub struct Schedules;

    #[doc = include_str!("../docs/guide/testing.md")]
    pub struct Testing;

    #[cfg(feature = "cluster")]
    #[doc = include_str!("../docs/guide/testing-on-tikv.md")]
    pub struct TestingOnTiKV;

    #[cfg(feature = "cluster")]
    #[doc = include_str!("../docs/guide/tikv-client.md")]
    pub struct TiKVClient;

    #[doc = include_str!("../docs/guide/transactions.md")]
    pub struct Transactions;

    #[doc = include_str!("../docs/guide/transactions-and-batches.md")]
    pub struct TransactionsAndBatches;

    #[doc = include_str!("../docs/guide/unique-events.md")]
    pub struct UniqueEvents;

    #[doc = include_str!("../docs/guide/web.md")]
    pub struct Web;

    #[doc = include_str!("../docs/guide/workers.md")]
    pub struct Workers;
}

/// What crates show of themselves where they are published.
#[cfg(doctest)]
pub mod crates {
    #[doc = include_str!("../tito-backup/README.md")]
    pub struct Backup;

    #[doc = include_str!("../tito-core/README.md")]
    pub struct Core;

    #[doc = include_str!("../tito-eventstore/README.md")]
    pub struct EventStore;

    #[doc = include_str!("../tito-testkit/README.md")]
    pub struct Testkit;

    #[doc = include_str!("../tito-worker/README.md")]
    pub struct Worker;
}
