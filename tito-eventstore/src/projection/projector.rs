//! What applications implement.

use std::future::Future;

use tito_core::{BoxError, Transaction};

use crate::event::Event;
use crate::select::Select;

/// Folds the events of a store into rows. [`Projection`](crate::Projection) runs it.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use tito_core::model::TitoTable;
/// use tito_core::{BoxError, Transaction};
/// use tito_eventstore::{Event, Projector, Select, View};
///
/// #[derive(Clone, Serialize, Deserialize, tito_core::TitoModel)]
/// struct Account {
///     id: String,
///     #[tito(index(name = "by_owner", unique))]
///     owner: String,
/// }
///
/// struct Accounts {
///     rows: TitoTable<Account>,
/// }
///
/// impl Projector for Accounts {
///     fn name(&self) -> &str {
///         "accounts"
///     }
///
///     fn select(&self) -> Select {
///         Select::filter("account.*.opened")
///     }
///
///     async fn project(&self, event: &Event, tx: &Transaction) -> Result<(), BoxError> {
///         let owner = String::from_utf8(event.bytes().to_vec())?;
///         self.rows.insert(&Account { id: event.entity_id().to_string(), owner }, tx).await?;
///         Ok(())
///     }
/// }
/// ```
pub trait Projector: Send + Sync + 'static {
    /// The projection's name, unique in its store. It has no dot, and no `:` and `@`.
    fn name(&self) -> &str;

    /// Which events are folded. Default: all. Rebuild the projection after changing it.
    fn select(&self) -> Select {
        Select::all()
    }

    /// Folds one event into the rows. Called with the selected events in the order of their sequences, each taking
    /// effect on the rows once: `tx` also commits how far the projection is. The rows are those of the generation that
    /// is being folded, so use nothing but the event and `tx`; a call that did not commit is repeated.
    ///
    /// Everything else that is written into `tx`, such as an outbox event of a model, is written once too: a rebuild
    /// writes only rows and their index entries, and skips the rest.
    ///
    /// # Errors
    /// Anything that keeps the event from being folded. The projection stops before it, and tries it again.
    fn project(&self, event: &Event, tx: &Transaction) -> impl Future<Output = Result<(), BoxError>> + Send;
}
