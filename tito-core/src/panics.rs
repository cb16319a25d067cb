//! Takes apart what a panic of other code carried, without another panic.
//!
//! A panic carries a value, mostly a text, but [`panic_any`](std::panic::panic_any) takes any value, and dropping one
//! whose drop panics panics again in the code that caught it. So nothing here drops it directly.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::JoinError;

/// The text that a caught panic carried; `no message` if it carried another value. The value is dropped; a panic in
/// that is ignored.
///
/// ```
/// use std::panic::catch_unwind;
///
/// let caught = catch_unwind(|| panic!("no more {}", "paper")).unwrap_err();
/// assert_eq!(tito_core::panics::text_of(caught), "no more paper");
/// ```
pub fn text_of(panic: Box<dyn Any + Send>) -> String {
    let panic = match panic.downcast::<String>() {
        Ok(text) => return *text,
        Err(panic) => panic,
    };
    let text = panic.downcast_ref::<&'static str>().copied().unwrap_or("no message").to_string();
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // It may panic when it is dropped as well, and what that carries too. So it is not: some memory, once a panic.
        std::mem::forget(another);
    }
    text
}

/// Calls code that may panic. An error is the [text](text_of) of its panic.
///
/// # Errors
/// It panicked.
pub fn caught<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(text_of)
}

/// A future that does not panic when it is dropped before its end, as an aborted task is.
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Contained<F>(Option<Pin<Box<F>>>);

impl<F: Future> Contained<F> {
    /// The future, on the heap.
    pub fn new(future: F) -> Self {
        Self(Some(Box::pin(future)))
    }
}

impl<F: Future> Future for Contained<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match &mut self.0 {
            Some(future) => future.as_mut().poll(context),
            // It is there until it is dropped.
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for Contained<F> {
    fn drop(&mut self) {
        let future = self.0.take();
        if let Err(error) = caught(|| drop(future)) {
            tracing::error!(error, "a task panicked while it was being dropped");
        }
    }
}

/// Why a task has ended without an answer: it panicked with this [text](text_of), or was cancelled.
pub fn reason_of(ended: JoinError) -> String {
    match ended.try_into_panic() {
        Ok(panic) => format!("it panicked: {}", text_of(panic)),
        Err(cancelled) => cancelled.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::panic::panic_any;

    use super::*;

    /// Panics when it is dropped, with another of which so many follow.
    struct Bomb(u32);

    impl Drop for Bomb {
        fn drop(&mut self) {
            match self.0 {
                0 => panic!("the last one"),
                more => panic_any(Bomb(more - 1)),
            }
        }
    }

    #[test]
    fn texts_are_told_and_other_values_passed_over() {
        assert_eq!(caught(|| 7), Ok(7));
        assert_eq!(caught(|| panic!("a text")).unwrap_err(), "a text");
        assert_eq!(caught(|| panic!("{}", 17)).unwrap_err(), "17");
        assert_eq!(caught(|| panic_any(17)).unwrap_err(), "no message");
    }

    #[test]
    fn what_panics_when_it_is_dropped_is_one_panic() {
        for more in 0..5 {
            assert_eq!(caught(|| panic_any(Bomb(more))).unwrap_err(), "no message");
        }
    }

    #[tokio::test]
    async fn a_contained_future_panics_neither_when_it_is_dropped_nor_later() {
        assert_eq!(Contained::new(async { 7 }).await, 7);
        for more in 0..3 {
            let bomb = Bomb(more);
            let waiting = tokio::spawn(Contained::new(async move {
                let _bomb = bomb;
                std::future::pending::<()>().await;
            }));
            tokio::task::yield_now().await;
            waiting.abort();
            assert!(reason_of(waiting.await.unwrap_err()).contains("cancelled"));
        }
    }

    #[tokio::test]
    async fn the_end_of_a_task_is_told_too() {
        let ended = async |task: tokio::task::JoinHandle<()>| reason_of(task.await.unwrap_err());
        assert_eq!(ended(tokio::spawn(async { panic!("a text") })).await, "it panicked: a text");
        assert_eq!(ended(tokio::spawn(async { panic_any(Bomb(2)) })).await, "it panicked: no message");
        let waiting = tokio::spawn(std::future::pending());
        waiting.abort();
        assert!(ended(waiting).await.contains("cancelled"));
    }
}
