//! `tito index`.

use clap::{Args, Subcommand};
use serde_json::json;
use tito_console::api::{Affected, NewOperation, Operation, Rate, Table as ModelTable};

use super::change::{Rehearsal, destroy};
use super::limit::parse_rate;
use super::paging::Paging;
use crate::api;
use crate::client::Answer;
use crate::failure::Result;
use crate::output::{Table, visible};
use crate::session::{Session, Use};

/// Indexes of the tables of models.
#[derive(Debug, Subcommand)]
pub(crate) enum Index {
    /// Lists the indexes of all tables, with their states
    List(Paging),
    /// Begins an operation that makes an index whole; workers whose application has registered the model do it
    Reindex(Reindex),
    /// Deletes an index that no program has any more, with its entries
    Drop(Drop),
}

#[derive(Debug, Args)]
pub(crate) struct Reindex {
    /// The table
    table: String,
    /// The index
    index: String,
    /// How many rows a span of time, as 500/s; as fast as the workers can unless said
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    rate: Option<Rate>,
}

#[derive(Debug, Args)]
pub(crate) struct Drop {
    /// The table
    table: String,
    /// The index
    index: String,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

impl Index {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List(paging) => {
                let client = session.client(Use::Read).await?;
                let tables = paging.read::<ModelTable>(&client, &api::get(["tables"])).await?;
                tables.tell(&session.output, table, "There is no table of models.")
            }
            Self::Reindex(reindex) => reindex.run(session).await,
            Self::Drop(drop) => drop.run(session).await,
        }
    }
}

impl Reindex {
    async fn run(self, session: &mut Session) -> Result<()> {
        let task = json!({"kind": "reindex", "table": self.table, "index": self.index});
        let client = session.client(Use::Change).await?;
        let call = api::post(["operations"]).json(&NewOperation { task, rate: self.rate })?;
        let answer: Answer<Operation> = client.get(&session.change(call)).await?;
        session.output.answer(&answer.raw, |output| {
            let Operation { id, at_least, .. } = &answer.value;
            let (table, index) = (visible(&self.table), visible(&self.index));
            output.line(format!("{id} is begun: reindex {table} {index}, of at least {at_least} rows"))
        })
    }
}

impl Drop {
    async fn run(self, session: &mut Session) -> Result<()> {
        let (table, index) = (visible(&self.table), visible(&self.index));
        let call = api::delete(["tables", &self.table, "indexes", &self.index]);
        let what = format!("row(s) of the index {index} of {table}, which is deleted");
        let Some(answer) = destroy::<Affected>(session, call, self.rehearsal, &what).await? else {
            return Ok(());
        };
        session.output.answer(&answer.raw, |output| output.line(format!("the index {index} of {table} is deleted")))
    }
}

/// Each index: its table, its name, its state.
pub(super) fn rows(tables: &[ModelTable]) -> impl Iterator<Item = (&str, &str, &str)> {
    tables.iter().flat_map(|table| {
        table.indexes.iter().map(|(index, state)| (table.name.as_str(), index.as_str(), state.as_str()))
    })
}

fn table(tables: &[ModelTable]) -> Table {
    let mut shown = Table::new(["TABLE", "INDEX", "STATE"]);
    for (table, index, state) in rows(tables) {
        shown.row([table, index, state].map(str::to_string));
    }
    shown
}
