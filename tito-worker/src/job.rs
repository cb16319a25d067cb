//! Topics as types.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tito_core::event::{TitoEvent, queue_name};
use tito_core::{BoxError, KeyText, Result, TitoError, row};

use crate::error::QueueError;
use crate::policy::Subscription;
use crate::publish::Publish;

/// The header that says which version of its topic's payload an event has; an event without it has version 1.
pub(crate) const VERSION_HEADER: &str = "tito-version";

/// A type that is a topic's payload: it gives the topic's name, the version of its payloads, and how they are handled,
/// so that a mistyped name or another topic's payload does not compile. `#[derive(TitoJob)]` implements it.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use tito_core::prelude::*;
/// use tito_worker::prelude::*;
/// use tito_worker::{JobTopic, Payload};
///
/// #[derive(Serialize, Deserialize)]
/// struct Welcome {
///     address: String,
/// }
///
/// impl TitoJob for Welcome {
///     const NAME: &'static str = "welcome";
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), TitoError> {
/// let db = EmbeddedBackend::in_memory().await?;
/// let queue = TitoQueue::new(db.clone());
/// let welcome = Publish::job("user:17", &Welcome { address: "ada@example.com".to_string() })?;
/// db.transaction(|tx| {
///     let queue = queue.clone();
///     async move { queue.publish(welcome, &tx).await }
/// })
/// .await?;
///
/// let worker = Worker::builder(queue)
///     .subscribe(Welcome::TOPIC, |Payload(welcome): Payload<Welcome>| async move {
///         println!("welcome, {}", welcome.address);
///         Ok::<_, TitoError>(())
///     })
///     .build();
/// assert_eq!(worker.drain().await?.done, 1);
/// # Ok(())
/// # }
/// ```
///
/// # Versions
///
/// Events outlive deploys: when a release changes the payload so that serde can't read the old form (a member is
/// renamed, or changes its meaning), it raises [`VERSION`](TitoJob::VERSION) and says in [`upcast`](TitoJob::upcast)
/// how to convert a payload of one version to the next. Handlers only see the current version. While old and new
/// workers run side by side, the old ones postpone events of the new version by a minute at a time.
pub trait TitoJob: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The topic's name.
    const NAME: &'static str;

    /// The version of the payloads that this type writes, from 1.
    const VERSION: u32 = 1;

    /// The topic, to subscribe to.
    const TOPIC: JobTopic<Self> = JobTopic { group: None, of: PhantomData };

    /// How the topic is consumed unless a subscription says otherwise. Default: [`Subscription::default`].
    fn settings() -> Subscription {
        Subscription::default()
    }

    /// Converts a payload of version `from` to version `from + 1`. Default: unchanged, which is right if serde's
    /// defaults fill in what is new.
    ///
    /// # Errors
    /// Why it can't be one; the event goes to the dead letters.
    fn upcast(from: u32, payload: Value) -> Result<Value, BoxError> {
        let _ = from;
        Ok(payload)
    }

    /// Reads the payload of an event, of this version or an earlier one.
    ///
    /// # Errors
    /// [`QueueError::LaterVersion`]; [`TitoError::Malformed`].
    fn read(event: &TitoEvent) -> Result<Self, QueueError> {
        let written = version_of(event)?;
        if written == Self::VERSION {
            return Ok(event.payload()?);
        }
        if written > Self::VERSION {
            let topic = event.event_type.clone();
            return Err(QueueError::LaterVersion { topic, version: written, known: Self::VERSION });
        }
        let payload: Value = event.payload()?;
        let read = (written..Self::VERSION)
            .try_fold(payload, |payload, version| Self::upcast(version, payload))
            .and_then(|payload| Ok(serde_json::from_value(payload)?))
            .map_err(|source| TitoError::Malformed {
                key: key_of(event),
                expected: "an event whose payload can be brought to its topic's present version",
                source: source.into(),
            })?;
        Ok(read)
    }
}

fn key_of(event: &TitoEvent) -> KeyText {
    KeyText::from(event.key.as_slice())
}

/// Which version of its topic's payload an event has.
///
/// # Errors
/// [`TitoError::Malformed`].
pub(crate) fn version_of(event: &TitoEvent) -> Result<u32> {
    let Some(text) = event.headers.get(VERSION_HEADER) else { return Ok(1) };
    let version = text.parse().ok().filter(|version| *version > 0);
    version.ok_or_else(|| TitoError::Malformed {
        key: key_of(event),
        expected: "an event whose header `tito-version` is a number from 1",
        source: format!("it is {text:?}").into(),
    })
}

/// The topic of a [`TitoJob`], to subscribe to: `Welcome::TOPIC`.
pub struct JobTopic<J> {
    group: Option<&'static str>,
    of: PhantomData<fn() -> J>,
}

impl<J> JobTopic<J> {
    /// The queue of a group of the topic's.
    pub const fn group(self, group: &'static str) -> Self {
        Self { group: Some(group), of: PhantomData }
    }
}

impl<J> Clone for JobTopic<J> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<J> Copy for JobTopic<J> {}

impl<J: TitoJob> fmt::Debug for JobTopic<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JobTopic").field(&self.into_topic()).finish()
    }
}

/// What a topic that is named by a text carries: the compiler knows nothing about its payloads.
#[derive(Clone, Copy, Debug)]
pub enum Untyped {}

/// What can be subscribed to: the name of a topic or of a group's queue, or the topic of a [`TitoJob`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no topic",
    label = "not a topic",
    note = "a topic is its name, such as \"mail\", or `T::TOPIC` of a type `T` with `#[derive(TitoJob)]`"
)]
pub trait IntoTopic {
    /// The type whose payloads it carries, as far as the compiler knows.
    type Carries;

    /// The queue's name.
    fn into_topic(self) -> String;

    /// How it is consumed unless a subscription says otherwise.
    fn settings() -> Subscription {
        Subscription::default()
    }

    /// The latest version of its payloads that this program knows; none where payloads have no type.
    fn known_version() -> Option<u32> {
        None
    }
}

impl IntoTopic for &str {
    type Carries = Untyped;

    fn into_topic(self) -> String {
        self.to_string()
    }
}

impl IntoTopic for String {
    type Carries = Untyped;

    fn into_topic(self) -> String {
        self
    }
}

impl IntoTopic for &String {
    type Carries = Untyped;

    fn into_topic(self) -> String {
        self.clone()
    }
}

impl<J: TitoJob> IntoTopic for JobTopic<J> {
    type Carries = J;

    fn into_topic(self) -> String {
        queue_name(J::NAME, self.group)
    }

    fn settings() -> Subscription {
        J::settings()
    }

    fn known_version() -> Option<u32> {
        Some(J::VERSION)
    }
}

impl Publish {
    /// An event that asks for a job, about an entity: its topic, payload and version are the job's.
    ///
    /// # Errors
    /// [`TitoError::Unserializable`], which names the field, also for a job that could be written but not read back.
    pub fn job<J: TitoJob>(entity: impl Into<String>, job: &J) -> Result<Self> {
        let what = format_args!("a payload of topic {:?}", J::NAME);
        let payload = row::raw_checked(what, job)?;
        // It is read again now rather than by a worker that can't.
        row::check_readable::<J>(what, payload.get().as_bytes())?;
        let mut event = Self::new(J::NAME, entity);
        event.payload = Some(payload);
        Ok(match J::VERSION {
            1 => event,
            version => event.header(VERSION_HEADER, version.to_string()),
        })
    }
}
