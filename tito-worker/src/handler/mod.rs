//! Handlers: functions of what they want to know of an event.
//!
//! | file | idea |
//! |---|---|
//! | `functions` | functions and closures are handlers |
//! | `extract`, `context` | their arguments, and what those are taken from |
//! | `arguments` | the arguments that there are |
//! | `state` | state that handlers share |
//! | `layered` | services of the crate `tower` are handlers |
//! | `later_version` | what becomes of an event that a later release has published |
//! | `boxed` | a handler, its types erased |
//! | `outcomes` | what handlers return |

mod arguments;
mod boxed;
mod context;
mod extract;
mod functions;
mod later_version;
mod layered;
mod outcomes;
mod state;

pub use self::arguments::{Payload, Progress, Row};
pub(crate) use self::boxed::Function;
pub use self::boxed::{Boxed, BoxedHandler};
pub use self::context::Context;
pub use self::extract::{FromEvent, Rejection, WithoutEvent};
pub use self::functions::Batch;
pub use self::layered::Layered;
pub use self::outcomes::{IntoOutcome, IntoOutcomes};
pub use self::state::{State, Stateful, WithState, with_state};
use crate::job::Untyped;

/// What can be subscribed to a topic: an asynchronous function or closure of one to six arguments, in any order, each
/// of which says what it wants to know about the event.
///
/// | argument | what it is |
/// |---|---|
/// | [`TitoEvent`](tito_core::event::TitoEvent) | the event |
/// | [`Payload<T>`](Payload) | its payload, decoded; that of a [typed topic](crate::TitoJob) in its present version |
/// | [`Row<M>`](Row) | the row that it is about |
/// | [`State<S>`](State) | what [`with_state`] shares with the handler |
/// | [`Transaction`](tito_core::Transaction) | the transaction that acknowledges it: the handler is a *transactional* one |
/// | [`Progress<T>`](Progress) | how far an earlier attempt got |
/// | [`Database`](tito_core::Database), [`TitoQueue`](crate::TitoQueue) | the worker's |
/// | any type that is [`FromEvent`] | what an application needs again and again |
///
/// A handler whose first argument is a `Vec<TitoEvent>` is a *batch* handler. It can also take a `Transaction`, a
/// `State`, a `Database` and a `TitoQueue`. A [`Service`](tower_service::Service) of the crate `tower`, which can be
/// wrapped in layers, is a handler if its request is one of these arguments, or a tuple of several.
///
/// It returns `Result<(), _>` or `Result<Outcome, _>`, with any error that is `Into<BoxError>`, such as `TitoError`,
/// `anyhow::Error` or `Box<dyn Error + Send + Sync>`. An error, a panic or a timeout schedules the next attempt.
///
/// - **Plain** handlers are acknowledged after they have returned. They can see an event more than once, for example when
///   the worker dies before the outcome is recorded.
/// - **Transactional** handlers write into the transaction that acknowledges the event: both commit together or not at
///   all, so these effects happen exactly once. An error rolls them back; an outcome other than done commits with them.
///   After a conflict the handler runs again. Its timeout is at most the engine's `max_transaction_age` (30 s by
///   default). An engine failure is retried without counting as an attempt.
/// - **Batch** handlers get up to [`Subscription::batch`](crate::Subscription::batch) events: those that are ready,
///   without waiting for more, and those of one entity in their order. They return `()` if all are done, or a
///   `Vec<Outcome>` with one for each. If one fails, its events are handed out one by one.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use tito_core::Transaction;
/// use tito_core::prelude::*;
/// use tito_worker::prelude::*;
/// use tito_worker::{Payload, Row, State, with_state};
///
/// #[derive(Clone, Serialize, Deserialize, TitoModel)]
/// #[tito(event = "user")]
/// struct User {
///     id: String,
///     email: String,
/// }
///
/// #[derive(Clone)]
/// struct Mailer;
///
/// async fn welcome(State(_mailer): State<Mailer>, Row(user): Row<User>, event: TitoEvent) -> Result<(), TitoError> {
///     match user {
///         Some(user) => println!("{} of {}", event.action, user.email),
///         None => println!("{} is gone", event.entity),
///     }
///     Ok(())
/// }
///
/// async fn count(Payload(address): Payload<String>, tx: Transaction) -> Result<(), TitoError> {
///     tx.put(format!("seen/{address}").into_bytes(), Vec::new()).await
/// }
///
/// # fn example(queue: TitoQueue) -> Worker {
/// Worker::builder(queue).subscribe("user", with_state(Mailer, welcome)).subscribe("mail", count).build()
/// # }
/// ```
///
/// The compiler infers the parameters: `Args` tells the kinds of handlers apart, `S` is the state that it wants, `J`
/// the [job](crate::TitoJob) whose topic it is for.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler of this topic's events",
    label = "not a handler",
    note = "a handler is an `async` function or closure, `Send + Sync + 'static`, whose arguments are written with their \
            types and are each a `TitoEvent`, `Payload<T>`, `Row<M>`, `State<S>`, `Transaction`, `Progress<T>`, \
            `Database` or `TitoQueue`; or, first, a `Vec<TitoEvent>`",
    note = "it returns `Result<(), E>` or `Result<Outcome, E>` with an `E: Into<BoxError>`, and its future is `Send`",
    note = "a payload is taken as `Payload<T>`; a typed topic has its own, `T` being the type with `#[derive(TitoJob)]`",
    note = "a handler that takes `State<S>` is subscribed as `with_state(state, handler)`, `state` being an `S`"
)]
pub trait Handler<Args, S = (), J = Untyped>: Sized {
    /// The handler with the state that it wants, its types erased.
    fn with_its_state(self, state: S) -> BoxedHandler;
}
