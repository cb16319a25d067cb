//! `tito tables`.

use clap::Args;
use tito_console::api::Table as ModelTable;

use super::paging::Paging;
use crate::api;
use crate::failure::{Failure, Kind, Result};
use crate::output::Table;
use crate::session::{Session, Use};

/// Lists the tables of models, with the states of their indexes.
///
/// Queries can use an index that is `built`. Others are filled by the application's migrations, or by
/// `tito index reindex`.
#[derive(Debug, Args)]
pub(crate) struct Tables {
    /// Fails, with exit code 6, if an index is not built
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    paging: Paging,
}

impl Tables {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Read).await?;
        let tables = self.paging.read::<ModelTable>(&client, &api::get(["tables"])).await?;
        let told = tables.tell(&session.output, table, "There is no table of models.");
        let is_built = |table: &ModelTable| table.indexes.values().all(|state| state == "built");
        match tables.items.iter().find(|table| self.check && !is_built(table)) {
            // Also where whoever read the output has gone.
            Some(table) => Err(Failure::new(Kind::Unsound, format!("an index of {:?} is not built", table.name))),
            None => told,
        }
    }
}

fn table(tables: &[ModelTable]) -> Table {
    let mut shown = Table::new(["TABLE", "STATE", "INDEXES"]);
    for table in tables {
        let state = if table.is_dropping { "being deleted" } else { "kept" };
        let indexes: Vec<_> = table.indexes.iter().map(|(name, state)| format!("{name}: {state}")).collect();
        shown.row([table.name.clone(), state.to_string(), indexes.join(", ")]);
    }
    shown
}
