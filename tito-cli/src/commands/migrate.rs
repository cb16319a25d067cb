//! `tito migrate`.

use clap::Args;
use tito_console::api::Table as ModelTable;

use super::index::rows;
use super::paging::Paging;
use crate::api;
use crate::failure::{Failure, Kind, Result};
use crate::output::Table;
use crate::session::{Session, Use};

/// Says whether the tables of models are up to date: the state of each index, and what brings it up to date.
///
/// The migration itself is the application's, which alone has the models: `Database::migrate`, or `tito index reindex` where
/// its workers have registered them.
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Fails, with exit code 6, where something is not up to date
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    paging: Paging,
}

impl Migrate {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Read).await?;
        let tables = self.paging.read::<ModelTable>(&client, &api::get(["tables"])).await?;
        let told = tables.tell(&session.output, table, "There is no table of models.");
        let late = rows(&tables.items).find(|(_, _, state)| self.check && *state != "built");
        match late {
            // Also where whoever read the output has gone.
            Some((table, index, state)) => {
                Err(Failure::new(Kind::Unsound, format!("the index {index:?} of {table:?} is {state}")))
            }
            None => told,
        }
    }
}

fn table(tables: &[ModelTable]) -> Table {
    let mut shown = Table::new(["TABLE", "INDEX", "STATE", "WHAT BRINGS IT UP TO DATE"]);
    for table in tables {
        if table.is_dropping {
            shown.row(
                [&table.name, "", "dropping", "the same drop_table again, if nobody is at it"].map(str::to_string),
            );
        } else if table.indexes.is_empty() {
            shown.row([table.name.as_str(), "", "up to date", ""].map(str::to_string));
        }
        for (name, index, state) in rows(std::slice::from_ref(table)) {
            shown.row([name, index, state, remedy(state)].map(str::to_string));
        }
    }
    shown
}

fn remedy(state: &str) -> &'static str {
    match state {
        "built" => "",
        "behind" => "a migration, or tito index reindex: a program that does not know it has written rows",
        "building" => "whoever builds it; after a crash a migration, or tito index reindex, which go on with it",
        "dropping" => "a migration, or tito index drop, which go on with it",
        _ => "a later version knows",
    }
}
