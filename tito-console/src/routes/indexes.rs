//! Indexes of tables: deleted where no program has them any more. They are listed with their tables, and made whole by an
//! operation.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::delete;
use tito_core::keys;
use tito_core::model::Catalogue;

use crate::api::Affected;
use crate::app::App;
use crate::call::{Call, Destroy};
use crate::failure::{Answer, Failure, json};
use crate::input::{Names, Nothing, Sent};

/// How many entries are read to say how many would be deleted.
const COUNTED: usize = 900;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/tables/{table}/indexes/{index}", delete(remove))
}

async fn remove(
    call: Call<Destroy>,
    Names((table, index)): Names<(String, String)>,
    Sent(Nothing {}): Sent<Nothing>,
) -> Answer<Response> {
    let database = &call.queue().engine;
    tito_core::check_name("table", &table)?;
    let name = table.as_str();
    let catalogue = database.transaction(|tx| async move { Catalogue::read(&tx, name).await }).await?;
    if !catalogue.is_some_and(|catalogue| catalogue.indexes.contains_key(&index)) {
        return Err(Failure::not_found(format!("table {table:?} has no index {index:?}")));
    }
    if call.is_rehearsal() {
        let range = keys::index_entries(&table, &index);
        let entries = database.transaction(|tx| {
            let range = range.clone();
            async move { tx.scan(range, COUNTED).await }
        });
        let entries = entries.await?.len();
        return Ok(json(&Affected { affected: entries as u64, at_least: entries == COUNTED, dry_run: true }));
    }
    let dropping = async { Ok(database.drop_index(&table, &index).await?) };
    let entries = call.change("drop_index", &format!("{table} {index}"), dropping).await?;
    Ok(json(&Affected { affected: entries, ..Affected::default() }))
}
