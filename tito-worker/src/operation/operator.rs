//! Who changes something, and why.

/// Somebody who changes something by hand: the name of a token, or the operating system's user. `tito_console::Audit` notes
/// what they change.
///
/// ```
/// # use tito_worker::{EventFilter, Operation, OperationTask, Operator};
/// let operator = Operator::new("ada").why("the relay is back");
/// let redrive =
///     OperationTask::Redrive { queue: "mail".to_string(), letters: EventFilter::default(), in_order: false };
/// let operation = Operation::new(redrive, &operator);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Operator {
    who: String,
    why: String,
}

impl Operator {
    /// Somebody.
    pub fn new(who: impl Into<String>) -> Self {
        Self { who: who.into(), why: String::new() }
    }

    /// Why they change something.
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// Who it is.
    pub fn who(&self) -> &str {
        &self.who
    }

    /// Why they change something; empty if they have not said.
    pub fn reason(&self) -> &str {
        &self.why
    }
}
