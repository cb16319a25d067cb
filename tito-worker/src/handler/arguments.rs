//! The arguments that there are.

use serde::de::DeserializeOwned;
use tito_core::event::TitoEvent;
use tito_core::model::TitoSchema;
use tito_core::{Database, TitoError, Transaction};

use super::context::Context;
use super::extract::{FromEvent, Rejection, WithoutEvent};
use super::later_version::postpone;
use crate::error::QueueError;
use crate::error_text::text_of;
use crate::job::{TitoJob, Untyped};
use crate::queue::TitoQueue;

impl<S: Send, J> FromEvent<S, J> for TitoEvent {
    async fn from_event(context: &mut Context<S>) -> Result<Self, Rejection> {
        context.take_event()
    }
}

impl<S: Send, J> FromEvent<S, J> for Transaction {
    const IN_TRANSACTION: bool = true;
    const READERS: usize = 0;

    async fn from_event(context: &mut Context<S>) -> Result<Self, Rejection> {
        context.transaction().cloned().ok_or_else(|| {
            Rejection::Error("an argument takes the transaction without being declared as `IN_TRANSACTION`".into())
        })
    }
}

impl WithoutEvent for Transaction {}

impl<S: Send, J> FromEvent<S, J> for Database {
    const READERS: usize = 0;

    async fn from_event(context: &mut Context<S>) -> Result<Self, Rejection> {
        Ok(context.database().clone())
    }
}

impl WithoutEvent for Database {}

impl<S: Send, J> FromEvent<S, J> for TitoQueue {
    const READERS: usize = 0;

    async fn from_event(context: &mut Context<S>) -> Result<Self, Rejection> {
        Ok(Self::new(context.database().clone()))
    }
}

impl WithoutEvent for TitoQueue {}

/// The event's payload, decoded.
///
/// An event without such a payload goes to the dead letters at once, with the reason, as another attempt would meet the
/// same bytes; it can be redriven once the handler can read them.
///
/// On a [typed topic](crate::TitoJob) it is that topic's payload, upgraded if it is of an earlier version. An event of
/// a later version than this program knows is postponed by a minute, without counting as an attempt and with a warning
/// in the log, until a worker of the new release handles it. In strict order the later events of its entity wait with
/// it, for as long as no worker knows the version.
///
/// ```
/// use serde::Deserialize;
/// use tito_core::prelude::*;
/// use tito_worker::Payload;
/// use tito_worker::prelude::*;
///
/// #[derive(Deserialize)]
/// struct Mail {
///     to: String,
/// }
///
/// # fn example(queue: TitoQueue) -> Worker {
/// Worker::builder(queue)
///     .subscribe("mail", |Payload(mail): Payload<Mail>| async move {
///         println!("to {}", mail.to);
///         Ok::<_, TitoError>(())
///     })
///     .build()
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromEvent<S, Untyped> for Payload<T> {
    async fn from_event(context: &mut Context<S>) -> Result<Self, Rejection> {
        context.event()?.payload().map(Self).map_err(|error| hopeless(&error))
    }
}

impl<S: Send + Sync, J: TitoJob> FromEvent<S, J> for Payload<J> {
    async fn from_event(context: &mut Context<S>) -> Result<Self, Rejection> {
        let event = context.event()?;
        match J::read(event) {
            Ok(job) => Ok(Self(job)),
            Err(error @ QueueError::LaterVersion { .. }) => Err(postpone(context.database(), event, &error).await),
            Err(error) => Err(hopeless(&error)),
        }
    }
}

/// For an event on which no attempt can succeed.
fn hopeless(error: &(dyn std::error::Error + 'static)) -> Rejection {
    Rejection::dead_letter(text_of(error))
}

/// The row that the event is about, read when the handler runs, in its transaction if it is transactional: it can be
/// newer than the event, and is `None` if it was deleted.
///
/// An event that is not about a row of the model goes to the dead letters at once. A row that can't be read fails the
/// attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<M>(pub Option<M>);

impl<S: Send + Sync, J, M: TitoSchema> FromEvent<S, J> for Row<M> {
    async fn from_event(context: &mut Context<S>) -> Result<Self, Rejection> {
        let row = match context.transaction() {
            Some(tx) => context.event()?.model_in(tx).await,
            None => context.event()?.model(context.database()).await,
        };
        match row {
            Ok(row) => Ok(Self(row)),
            Err(error @ TitoError::NotOfTheTable { .. }) => Err(hopeless(&error)),
            Err(error) => Err(error.into()),
        }
    }
}

/// How far an earlier attempt got, if it recorded that with [`TitoQueue::record_progress`]. Progress that can't be read
/// fails the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<T>(pub Option<T>);

impl<S: Send + Sync, J, T: DeserializeOwned + Send> FromEvent<S, J> for Progress<T> {
    async fn from_event(context: &mut Context<S>) -> Result<Self, Rejection> {
        Ok(Self(context.event()?.progress()?))
    }
}
