//! The context of the running task.

use std::future::Future;

use super::context::TraceContext;

tokio::task_local! {
    static CURRENT: TraceContext;
}

impl TraceContext {
    /// The context of the innermost [`scope`](TraceContext::scope) around the caller.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Runs `work` with this context as the current one: events that it writes belong to the trace. Tasks that it
    /// spawns do not, unless they get a scope of their own.
    ///
    /// ```
    /// use tito_core::trace::TraceContext;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let request = TraceContext::new_root();
    /// request.clone().scope(async {
    ///     assert_eq!(TraceContext::current().as_ref(), Some(&request));
    /// }).await;
    /// assert_eq!(TraceContext::current(), None);
    /// # }
    /// ```
    pub fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> + use<F> {
        CURRENT.scope(self, work)
    }
}
