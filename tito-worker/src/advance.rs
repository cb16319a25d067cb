//! The next step of an event.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use tito_core::event::{DoneStep, TitoEvent};
use tito_core::row::UnknownMembers;
use tito_core::{Now, Result, TitoError, row};

use crate::job::{TitoJob, VERSION_HEADER};

/// How many steps of an event are remembered: the first, and the latest ones.
const STEPS_KEPT: usize = 20;

const WHAT: &str = "the payload of an event's next step";

/// The next step of an event: what its handler is called with next.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use tito_core::TitoError;
/// use tito_core::event::TitoEvent;
/// use tito_worker::{Advance, Outcome, Payload};
///
/// #[derive(Serialize, Deserialize)]
/// enum Trip {
///     BookFlight { to: String },
///     BookHotel { to: String, flight: String },
/// }
///
/// async fn book(Payload(trip): Payload<Trip>) -> Result<Outcome, TitoError> {
///     Ok(match trip {
///         Trip::BookFlight { to } => {
///             let flight = format!("the one to {to}");
///             Advance::to(&Trip::BookHotel { to, flight })?.into()
///         }
///         Trip::BookHotel { .. } => Outcome::Done,
///     })
/// }
/// # let _ = book;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Advance {
    /// As JSON.
    payload: String,
    headers: BTreeMap<String, String>,
    pub(crate) delay: Duration,
}

impl Advance {
    /// A step with this payload, at once.
    ///
    /// # Errors
    /// [`TitoError::Unserializable`], which names the field, for what JSON has no form for, as
    /// [`Publish::payload`](crate::Publish::payload).
    pub fn to(payload: &impl Serialize) -> Result<Self, TitoError> {
        Ok(Self::of(&row::raw_for_any_reader(WHAT, payload)?))
    }

    /// A step with the payload of a [typed topic](crate::TitoJob), in its current version.
    ///
    /// # Errors
    /// [`TitoError::Unserializable`], which names the field, also for a job that could be written and not read again, like
    /// [`Publish::job`](crate::Publish::job).
    pub fn to_job<J: TitoJob>(job: &J) -> Result<Self, TitoError> {
        let payload = row::raw_checked(WHAT, job)?;
        // It is read again now rather than by a worker that can't, when the step before it is done.
        row::check_readable::<J>(WHAT, payload.get().as_bytes())?;
        Ok(Self::of(&payload).header(VERSION_HEADER, J::VERSION.to_string()))
    }

    fn of(payload: &RawValue) -> Self {
        Self { payload: payload.get().to_string(), headers: BTreeMap::new(), delay: Duration::ZERO }
    }

    /// A short text next to the payload. The event's other headers stay.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// Not before this time has passed, rounded up to whole seconds.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The event at its next step: with no attempts yet, and with a record of the finished step.
    pub(crate) fn applied_to(&self, mut event: TitoEvent, now: Now) -> Result<TitoEvent, serde_json::Error> {
        let attempt = event.attempt();
        let payload = event.payload.replace(RawValue::from_string(self.payload.clone())?);
        let (timestamp, headers, unknown) = (now.seconds(), event.headers.clone(), UnknownMembers::default());
        event.steps.push(DoneStep { attempt, timestamp, payload, headers, unknown });
        if event.steps.len() > STEPS_KEPT {
            event.steps.remove(1);
        }
        event.headers.extend(self.headers.clone());
        event.failed_attempts = 0;
        event.failures.clear();
        event.progress = None;
        event.deaths = None;
        Ok(event)
    }
}
