//! A handler, its types erased.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tito_core::event::TitoEvent;

use super::Handler;
use super::context::Context;
use super::outcomes::{BatchResult, HandlerResult};
use crate::outcome::Outcome;

type One = dyn Fn(Context) -> BoxFuture<'static, HandlerResult> + Send + Sync;
type Batch = dyn Fn(Vec<TitoEvent>, Context) -> BoxFuture<'static, BatchResult> + Send + Sync;

/// Any handler with its types erased, for a program that chooses its handlers at run time.
#[derive(Clone)]
#[must_use]
pub struct BoxedHandler {
    pub(crate) run: Function,
    /// Whether its events are acknowledged in the transaction that it takes.
    pub(crate) in_transaction: bool,
}

#[derive(Clone)]
pub(crate) enum Function {
    One(Arc<One>),
    Batch(Arc<Batch>),
}

impl fmt::Debug for BoxedHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let takes_batches = matches!(self.run, Function::Batch(_));
        let (name, transactional) = ("BoxedHandler", self.in_transaction);
        f.debug_struct(name).field("transactional", &transactional).field("batch", &takes_batches).finish()
    }
}

/// Tells handlers whose types are erased from others.
#[derive(Debug)]
pub enum Boxed {}

impl<J> Handler<Boxed, (), J> for BoxedHandler {
    fn with_its_state(self, (): ()) -> BoxedHandler {
        self
    }
}

impl BoxedHandler {
    /// A handler of a topic that is named by a text, its types erased.
    pub fn new<H, Args>(handler: H) -> Self
    where
        H: Handler<Args>,
    {
        handler.with_its_state(())
    }

    pub(super) fn one<Fut>(in_transaction: bool, run: impl Fn(Context) -> Fut + Send + Sync + 'static) -> Self
    where
        Fut: Future<Output = HandlerResult> + Send + 'static,
    {
        Self { in_transaction, run: Function::One(Arc::new(move |context| run(context).boxed())) }
    }

    pub(super) fn batch<Fut>(
        in_transaction: bool,
        run: impl Fn(Vec<TitoEvent>, Context) -> Fut + Send + Sync + 'static,
    ) -> Self
    where
        Fut: Future<Output = BatchResult> + Send + 'static,
    {
        Self { in_transaction, run: Function::Batch(Arc::new(move |events, context| run(events, context).boxed())) }
    }

    /// The handler with a listener that is told of each event, and then of the handler's outcome or the text of its
    /// error: the testkit's harness.
    #[doc(hidden)]
    pub fn watched<W>(self, begin: impl Fn(&TitoEvent) -> W + Send + Sync + 'static) -> Self
    where
        W: FnOnce(Result<Outcome, String>) + Send + 'static,
    {
        let in_transaction = self.in_transaction;
        match self.run {
            Function::One(run) => Self::one(in_transaction, move |context| {
                let (end, handled) = (context.event().ok().map(&begin), run(context));
                async move {
                    let handled = handled.await;
                    if let Some(end) = end {
                        end(handled.as_ref().cloned().map_err(ToString::to_string));
                    }
                    handled
                }
            }),
            Function::Batch(run) => Self::batch(in_transaction, move |events, context| {
                let ends: Vec<W> = events.iter().map(&begin).collect();
                let handled = run(events, context);
                async move {
                    let handled = handled.await;
                    for (at, end) in ends.into_iter().enumerate() {
                        end(handled.as_ref().map(|outcomes| outcomes[at].clone()).map_err(ToString::to_string));
                    }
                    handled
                }
            }),
        }
    }
}
