//! Steps that are the application's.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use tito_core::event::Rate;
use tito_core::{BoxError, Database, panics};

/// What a step of an application is told. After a death it is told the same again, with the same cursor and the same key,
/// though it may have been done: a step has to be able to bear that. One that writes to the database in one transaction need
/// not, if that has the step's [`key`](NamedStep::key) as its idempotency key; what it sends elsewhere can carry the key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NamedStep {
    /// The database.
    pub database: Database,
    /// What the operation was begun with.
    pub input: Value,
    /// What the step before has said; `None` at the first.
    pub cursor: Option<Value>,
    /// What names this step, and no other one of any operation: the same when it is done again after a death. For
    /// [`TxOptions::idempotency_key`](tito_core::TxOptions::idempotency_key), or whom it calls.
    pub key: String,
    /// How fast the operation is to be, if that was said. It is the step that keeps to it: nothing waits between steps.
    pub rate: Option<Rate>,
}

/// What a step of an application has done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stepped {
    /// Where to go on; `None` at the end.
    pub cursor: Option<Value>,
    /// How much it has done, by its own count.
    pub done: u64,
}

type Step = dyn Fn(NamedStep) -> BoxFuture<'static, Result<Stepped, BoxError>> + Send + Sync;

/// The steps that a worker knows, by their names.
#[derive(Clone, Default)]
pub(crate) struct NamedSteps(BTreeMap<String, Arc<Step>>);

impl NamedSteps {
    pub(crate) fn add<F, Fut>(&mut self, name: String, step: F)
    where
        F: Fn(NamedStep) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Stepped, BoxError>> + Send + 'static,
    {
        let step = Arc::new(step);
        let caught = move |named| {
            let step = step.clone();
            // What makes the future is polled as well, and may panic as well.
            let run = AssertUnwindSafe(async move { step(named).await }).catch_unwind();
            run.map(|ended| match ended {
                Ok(stepped) => stepped,
                Err(panic) => Err(format!("the step panicked: {}", panics::text_of(panic)).into()),
            })
            .boxed()
        };
        self.0.insert(name, Arc::new(caught));
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Step>> {
        self.0.get(name).cloned()
    }
}

impl fmt::Debug for NamedSteps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
