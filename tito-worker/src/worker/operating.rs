//! An operation run by a program that does nothing else.

use uuid::Uuid;

use super::Worker;
use crate::error::QueueError;
use crate::operation::OperationInfo;

impl Worker {
    /// Runs an operation to its end here, with what the worker's application has registered, as
    /// [`Operations::run`](crate::Operations::run) does without that: for programs started for this purpose. Nothing
    /// else of the worker runs. Dropping the future leaves the operation where it is.
    ///
    /// ```
    /// # use tito_core::model::TitoSchema;
    /// # use tito_worker::prelude::*;
    /// # use tito_worker::{Operation, OperationTask, Operator, QueueError};
    /// # async fn example<User: TitoSchema>(queue: TitoQueue) -> Result<(), QueueError> {
    /// let reindex = OperationTask::Reindex { table: "user".to_string(), index: "by_email".to_string() };
    /// let id = queue.operations().start(Operation::new(reindex, &Operator::new("ada"))).await?;
    /// let made = Worker::builder(queue).model::<User>().build().run_operation(id).await?;
    /// println!("{} entries added or removed", made.done);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`Operations::run`](crate::Operations::run).
    pub async fn run_operation(&self, id: Uuid) -> Result<OperationInfo, QueueError> {
        self.queue.operations().run_with(id, self.registered.clone()).await
    }
}
