//! A place where calls stop until a test lets them continue.

use std::sync::Arc;

use tokio::sync::watch;

/// Holds calls until the test opens it. Clones are handles to the same gate.
///
/// ```
/// # use tito_test_engines as tito_testkit;
/// use tito_testkit::Gate;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let gate = Gate::new();
/// let held = tokio::spawn({
///     let gate = gate.clone();
///     async move { gate.pass().await }
/// });
/// gate.arrivals(1).await;
/// gate.open();
/// held.await.unwrap();
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Gate(Arc<State>);

#[derive(Debug)]
struct State {
    open: watch::Sender<bool>,
    arrived: watch::Sender<usize>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(Arc::new(State { open: watch::Sender::new(false), arrived: watch::Sender::new(0) }))
    }

    /// Lets all calls pass, both waiting and future ones.
    pub fn open(&self) {
        self.0.open.send_replace(true);
    }

    /// Completes once `count` calls have reached the gate since it was created, passed or not.
    pub async fn arrivals(&self, count: usize) {
        // Fails only when the sender is gone, which `self` holds.
        let _ = self.0.arrived.subscribe().wait_for(|&arrived| arrived >= count).await;
    }

    /// Arrives at the gate, and completes once it is open.
    pub async fn pass(&self) {
        self.0.arrived.send_modify(|arrived| *arrived += 1);
        // Fails only when the sender is gone, which `self` holds.
        let _ = self.0.open.subscribe().wait_for(|&open| open).await;
    }
}
