//! Given these events, when this command, then those events.

use std::error::Error;
use std::fmt::{self, Write as _};

use tito_core::{BoxError, Timestamp};
use tito_eventstore::{Command, Decider, Evolver, NewEvent};

/// A test of an event store's model, without a store: given events, a command, and the events or the refusal that must
/// follow.
///
/// ```
/// use tito_core::BoxError;
/// use tito_eventstore::{Command, Decider, Event, Evolver, NewEvent};
/// use tito_testkit::Scenario;
///
/// #[derive(Default)]
/// struct Account {
///     is_open: bool,
/// }
///
/// impl Evolver for Account {
///     fn evolve(&mut self, event: &Event) -> Result<(), BoxError> {
///         self.is_open = event.event_type() == "opened";
///         Ok(())
///     }
/// }
///
/// struct Close;
/// impl Command for Close {}
///
/// impl Decider<Close> for Account {
///     fn decide(&self, _: &Close) -> Result<Vec<NewEvent>, BoxError> {
///         if !self.is_open {
///             return Err("the account is not open".into());
///         }
///         Ok(vec![NewEvent::raw("account.17", "closed", "data")])
///     }
/// }
///
/// let opened = || NewEvent::raw("account.17", "opened", "ada");
/// let closed = || NewEvent::raw("account.17", "closed", "data");
/// Scenario::new(Account::default()).given([opened()]).when(&Close).then([closed()]);
/// Scenario::new(Account::default()).given([opened(), closed()]).when(&Close).then_refused("not open");
/// ```
///
/// Every method panics to fail the test.
#[derive(Debug)]
#[must_use]
pub struct Scenario<M> {
    model: M,
    sequence: u64,
}

impl<M: Evolver> Scenario<M> {
    /// A model in its state before the first event.
    pub fn new(model: M) -> Self {
        Self { model, sequence: 0 }
    }

    /// The events so far. Events without a time happened at the beginning of 1970.
    ///
    /// # Panics
    /// If the model can't evolve by them, or a store would reject them.
    #[allow(clippy::panic, reason = "that is how a test fails")]
    pub fn given(mut self, events: impl IntoIterator<Item = NewEvent>) -> Self {
        for event in events {
            self.sequence += 1;
            let shown = Shown(&event).to_string();
            let evolved = event
                .appended_as(self.sequence, Timestamp::ZERO)
                .map_err(BoxError::from)
                .and_then(|event| self.model.evolve(&event));
            if let Err(error) = evolved {
                panic!("given {shown}: {}", chain(&*error));
            }
        }
        self
    }

    /// The command. An invalid one is refused.
    pub fn when<C: Command>(self, command: &C) -> Decided<M>
    where
        M: Decider<C>,
    {
        let outcome = command.validate().and_then(|()| self.model.decide(command));
        Decided { scenario: self, outcome }
    }

    /// The model in its current state.
    pub fn model(&self) -> &M {
        &self.model
    }
}

/// A model's decision.
#[derive(Debug)]
#[must_use = "nothing was checked yet"]
pub struct Decided<M> {
    scenario: Scenario<M>,
    outcome: Result<Vec<NewEvent>, BoxError>,
}

impl<M: Evolver> Decided<M> {
    /// Exactly these events must happen, in this order: entity, type, version and data are compared. The scenario
    /// continues with them.
    ///
    /// # Panics
    /// If other events happen, or the command is refused.
    #[allow(clippy::panic, reason = "that is how a test fails")]
    pub fn then(self, expected: impl IntoIterator<Item = NewEvent>) -> Scenario<M> {
        let events = match self.outcome {
            Ok(events) => events,
            Err(error) => panic!("the command was refused: {}", chain(&*error)),
        };
        let expected: Vec<NewEvent> = expected.into_iter().collect();
        let is_same = |(one, other): (&NewEvent, &NewEvent)| {
            (one.entity(), one.event_type(), one.version(), one.bytes())
                == (other.entity(), other.event_type(), other.version(), other.bytes())
        };
        let are_same = expected.len() == events.len() && expected.iter().zip(&events).all(is_same);
        assert!(are_same, "expected {}found {}", list(&expected), list(&events));
        self.scenario.given(events)
    }

    /// No event may happen.
    ///
    /// # Panics
    /// If one does, or the command is refused.
    pub fn then_nothing(self) -> Scenario<M> {
        self.then([])
    }

    /// The command must be refused, with this text in the error or one of its sources.
    ///
    /// # Panics
    /// If it isn't.
    #[allow(clippy::panic, reason = "that is how a test fails")]
    pub fn then_refused(self, text: &str) -> Scenario<M> {
        match self.outcome {
            Ok(events) => panic!("expected a refusal with {text:?}, found {}", list(&events)),
            Err(error) => {
                let found = chain(&*error);
                assert!(found.contains(text), "expected a refusal with {text:?}, found {found:?}");
            }
        }
        self.scenario
    }

    /// The command must be refused with an error of this type.
    ///
    /// # Panics
    /// If it isn't.
    #[allow(clippy::panic, reason = "that is how a test fails")]
    pub fn then_error<T: Error + 'static>(self) -> T {
        match self.outcome {
            Ok(events) => panic!("expected an error, found {}", list(&events)),
            Err(error) => match error.downcast::<T>() {
                Ok(error) => *error,
                Err(other) => panic!("expected another error, found {}", chain(&*other)),
            },
        }
    }
}

struct Shown<'a>(&'a NewEvent);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(event) = self;
        write!(f, "{} {} (version {}) ", event.entity(), event.event_type(), event.version())?;
        // Make different data look different.
        match std::str::from_utf8(event.bytes()) {
            Ok(text) => f.write_str(text),
            Err(_) => write!(f, "{:02x?}", event.bytes()),
        }
    }
}

fn list(events: &[NewEvent]) -> String {
    let mut lines = String::new();
    for event in events {
        // Writing to a String can't fail.
        let _ = writeln!(lines, "  {}", Shown(event));
    }
    format!("{} events:\n{lines}", events.len())
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::panic::{AssertUnwindSafe, catch_unwind};

    use tito_eventstore::Event;

    use super::*;

    #[derive(Debug, Default)]
    struct Count(u64);

    impl Evolver for Count {
        fn evolve(&mut self, event: &Event) -> Result<(), BoxError> {
            if event.event_type() == "poison" {
                return Err("it is poison".into());
            }
            self.0 += 1;
            Ok(())
        }
    }

    #[derive(Debug)]
    struct TooMany(u64);

    impl fmt::Display for TooMany {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "no more than {}", self.0)
        }
    }

    impl Error for TooMany {}

    struct Add(u64);
    impl Command for Add {}

    impl Decider<Add> for Count {
        fn decide(&self, command: &Add) -> Result<Vec<NewEvent>, BoxError> {
            if self.0 + command.0 > 3 {
                return Err(TooMany(3).into());
            }
            Ok((0..command.0).map(|_| added()).collect())
        }
    }

    fn added() -> NewEvent {
        NewEvent::raw("count.1", "added", "1")
    }

    fn decided(event: NewEvent) -> Decided<Count> {
        Decided { scenario: Scenario::new(Count::default()), outcome: Ok(vec![event]) }
    }

    fn failure(test: impl FnOnce()) -> String {
        *catch_unwind(AssertUnwindSafe(test)).unwrap_err().downcast::<String>().unwrap()
    }

    #[test]
    fn a_scenario_goes_on_with_what_was_decided() {
        let scenario = Scenario::new(Count::default()).given([added()]).when(&Add(2)).then([added(), added()]);
        assert_eq!(scenario.model().0, 3);
        let scenario = scenario.when(&Add(0)).then_nothing().when(&Add(1)).then_refused("no more");
        assert_eq!(scenario.when(&Add(1)).then_error::<TooMany>().0, 3);
    }

    #[test]
    fn what_is_not_as_expected_fails_the_test() {
        let one = || Scenario::new(Count::default()).when(&Add(1));
        let other = failure(|| drop(one().then([NewEvent::raw("count.1", "added", "2")])));
        assert!(other.contains("count.1 added (version 1) 2") && other.contains("(version 1) 1"), "{other}");
        let binary = |byte: u8| NewEvent::raw("count.1", "added", vec![byte]);
        let shown = failure(|| drop(decided(binary(0x80)).then([binary(0x81)])));
        assert!(shown.contains("[81]") && shown.contains("[80]"), "{shown}");
        drop(decided(binary(0x80)).then([binary(0x80)]));
        assert!(failure(|| drop(one().then_nothing())).contains("expected 0 events"));
        assert!(failure(|| drop(one().then_refused("x"))).contains("found 1 events"));
        let refused = || Scenario::new(Count::default()).when(&Add(9));
        assert!(failure(|| drop(refused().then_nothing())).contains("refused: no more than 3"));
        assert!(failure(|| drop(refused().then_refused("x"))).contains("\"no more than 3\""));
        assert!(
            failure(|| {
                let _: fmt::Error = refused().then_error();
            })
            .contains("another error")
        );
        let poisoned = || Scenario::new(Count::default()).given([NewEvent::raw("count.1", "poison", "data")]);
        assert!(failure(|| drop(poisoned())).contains("it is poison"));
        let unnamed = || Scenario::new(Count::default()).given([NewEvent::raw("count", "added", "data")]);
        assert!(failure(|| drop(unnamed())).contains("\"count\""));
    }
}
