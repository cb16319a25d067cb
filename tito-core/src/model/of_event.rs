//! The row that an event is about.

use super::repository::{decode_row, row_key};
use super::schema::TitoSchema;
use crate::database::{Database, Transaction};
use crate::error::{Result, TitoError};
use crate::event::TitoEvent;

impl TitoEvent {
    /// The table and the id of the row that the event is about: the row that it came from, even if the model names
    /// another entity; otherwise the two sides of the first `:` of [`entity`](TitoEvent::entity). `None` if there is
    /// none.
    ///
    /// ```
    /// # fn example(event: tito_core::event::TitoEvent) {
    /// // Of an event of a model: "user:ada".
    /// assert_eq!(event.table_and_id(), Some(("user", "ada")));
    /// # }
    /// ```
    pub fn table_and_id(&self) -> Option<(&str, &str)> {
        match &self.row {
            Some(row) => Some((&row.table, &row.id)),
            None => self.entity.split_once(':'),
        }
    }

    /// The id of the row that the event is about, from [`table_and_id`](TitoEvent::table_and_id).
    pub fn entity_id(&self) -> Option<&str> {
        self.table_and_id().map(|(_, id)| id)
    }

    /// The row that the event is about, as it is now: newer than the event if it has changed since, `None` if it was
    /// deleted.
    ///
    /// ```
    /// # use tito_core::prelude::*;
    /// # #[derive(Clone, serde::Serialize, serde::Deserialize, TitoModel)]
    /// # struct User { id: String }
    /// # async fn example(event: TitoEvent, db: Database) -> Result<(), TitoError> {
    /// let Some(user) = event.model::<User>(&db).await? else { return Ok(()) };
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TitoError::NotOfTheTable`] if the event is about something else, [`TitoError::Malformed`] if what is stored is
    /// not a row of this model, and those of the engine.
    pub async fn model<M: TitoSchema>(&self, db: &Database) -> Result<Option<M>> {
        let key = self.row_key::<M>()?;
        let tx = db.begin().await?;
        let row = read(&key, &tx).await;
        tx.rollback().await;
        row
    }

    /// The row that the event is about, read in a transaction, for example that of a transactional handler.
    ///
    /// # Errors
    /// Those of [`model`](TitoEvent::model).
    pub async fn model_in<M: TitoSchema>(&self, tx: &Transaction) -> Result<Option<M>> {
        read(&self.row_key::<M>()?, tx).await
    }

    fn row_key<M: TitoSchema>(&self) -> Result<Vec<u8>> {
        let table = M::table();
        match self.table_and_id() {
            Some((of, id)) if of == table && !id.is_empty() => row_key(&table, id),
            of => {
                let entity = of.map_or_else(|| self.entity.clone(), |(table, id)| format!("{table}:{id}"));
                Err(TitoError::NotOfTheTable { entity, table: table.into_owned() })
            }
        }
    }
}

async fn read<M: TitoSchema>(key: &[u8], tx: &Transaction) -> Result<Option<M>> {
    tx.get(key).await?.map(|bytes| decode_row(key, &bytes)).transpose()
}
