//! The preludes hold no name that a program gives its models, and transactions take closures that borrow.

#![allow(clippy::unwrap_used)]

/// Names that programs like, handed to another macro.
macro_rules! names {
    ($then:ident) => {
        $then! {
            Account,
            Action,
            Address,
            Batch,
            Boxed,
            Change,
            Command,
            Context,
            Counts,
            Cursor,
            Customer,
            Decider,
            Entity,
            Event,
            Exhausted,
            Group,
            Handler,
            Harness,
            History,
            Index,
            Invoice,
            Item,
            Job,
            Retention,
            Manager,
            Member,
            Message,
            Missed,
            Model,
            Operation,
            Order,
            Outcome,
            Page,
            Partition,
            Pattern,
            Payload,
            Progress,
            Projection,
            Published,
            Query,
            Queue,
            RateLimit,
            Recurrence,
            Rejection,
            Report,
            RetryPolicy,
            Row,
            Schedule,
            Select,
            Snapshot,
            State,
            Subscription,
            Table,
            Task,
            Timestamp,
            Topic,
            Transaction,
            Unique,
            User,
            View,
            Watch
        }
    };
}

/// A program's own models, with the names that programs like.
mod models {
    macro_rules! models {
        ($($name:ident),*) => {
            /// What they are called.
            pub(super) const NAMES: &[&str] = &[$(stringify!($name)),*];
            $(
                #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, tito_core::TitoModel)]
                pub(super) struct $name {
                    pub(super) id: String,
                }
            )*
        };
    }

    names!(models);
}

// Both by globs: a name that stands in two of them can't be used.
use models::*;
use tito_core::prelude::*;
use tito_eventstore::prelude::*;
use tito_testkit::in_memory;
use tito_worker::prelude::*;

macro_rules! used {
    ($($name:ident),*) => {{
        $(assert_eq!(serde_json::to_string(&$name { id: stringify!($name).to_string() }).unwrap().len(), 9 + stringify!($name).len());)*
        [$(stringify!($name)),*]
    }};
}

#[test]
fn models_have_names_that_the_preludes_leave_to_them() {
    let used = names!(used);
    assert_eq!(used, *models::NAMES);
}

/// What every program names is there.
#[tokio::test]
async fn a_program_of_the_preludes_alone_publishes_and_handles() {
    let db: Database = EmbeddedBackend::in_memory().await.unwrap();
    let worker: Worker = Worker::builder(TitoQueue::new(db))
        .partitions(PartitionConfig::all())
        .subscribe("order", |_: TitoEvent| async { Ok::<_, TitoError>(()) })
        .build();
    worker.drain().await.unwrap();
    let _: Option<EventStore> = None;
}

struct Shop {
    db: Database,
    prefix: String,
}

impl Shop {
    /// Borrows `&self` and a `&str` within a transaction's closure.
    async fn place(&self, id: &str) -> Result<Order, TitoError> {
        let orders = self.db.model::<Order>();
        let orders = &orders;
        self.db
            .transaction(|tx| async move {
                let order = Order { id: format!("{}{id}", self.prefix) };
                orders.insert(&order, &tx).await?;
                Ok(order)
            })
            .await
    }
}

#[tokio::test]
async fn a_method_that_borrows_within_a_transaction_is_spawned() {
    let db = in_memory().await.unwrap();
    let shop = std::sync::Arc::new(Shop { db: Database::clone(&db), prefix: "o-".to_string() });
    let placing = tokio::spawn(async move {
        let id = String::from("17");
        shop.place(&id).await
    });
    assert_eq!(placing.await.unwrap().unwrap(), Order { id: "o-17".to_string() });
}
