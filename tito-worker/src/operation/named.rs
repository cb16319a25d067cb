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

/// The input of an application's step. After a death a step can be repeated with the same input, cursor and key, though
/// it may have been done: it must tolerate that. A step that writes to the database in one transaction takes effect once
/// if that has the step's [`key`](NamedStep::key) as its idempotency key; what it sends elsewhere can carry the key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NamedStep {
    /// The database.
    pub database: Database,
    /// The input with which the operation was started.
    pub input: Value,
    /// The place that the previous step returned; `None` for the first.
    pub cursor: Option<Value>,
    /// The name of this step, unlike that of any other step of any operation, and the same after a death. For
    /// [`TxOptions::idempotency_key`](tito_core::TxOptions::idempotency_key), or for whoever it calls.
    pub key: String,
    /// The rate of the operation, if it has one. The step itself has to keep to it: nothing waits between steps.
    pub rate: Option<Rate>,
}

/// What a step of an application has done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stepped {
    /// Where to continue; `None` at the end.
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
