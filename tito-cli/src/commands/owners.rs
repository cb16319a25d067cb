//! `tito owned`, `tito erase`.

use clap::Args;
use tito_console::api::OwnerCounts;

use super::change::{Rehearsal, confirm_count, count};
use super::paging::Paging;
use crate::api;
use crate::client::Answer;
use crate::failure::Result;
use crate::output::{Output, Table, visible};
use crate::session::{Session, Use};

/// Lists the keys of everything that belongs to an owner.
#[derive(Debug, Args)]
pub(crate) struct Owned {
    /// The owner
    owner: String,
    #[command(flatten)]
    paging: Paging,
}

impl Owned {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Read).await?;
        let keys = self.paging.read::<String>(&client, &api::get(["owners", &self.owner])).await?;
        let table = |keys: &[String]| {
            let mut table = Table::new(["KEY"]);
            keys.iter().for_each(|key| table.row([key.clone()]));
            table
        };
        keys.tell(&session.output, table, "Nothing belongs to the owner.")
    }
}

/// Erases everything that belongs to an owner: events, dead letters, history, schedules.
#[derive(Debug, Args)]
pub(crate) struct Erase {
    /// The owner
    owner: String,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

impl Erase {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let call = api::post(["owners", &self.owner, "erase"]);
        if self.rehearsal.dry_run || !session.is_confirmed() {
            let counted: Answer<OwnerCounts> = count(session, &call).await?;
            if self.rehearsal.dry_run {
                return session.output.answer(&counted.raw, |output| {
                    tell(output, &counted.value)?;
                    output.line("would be erased; nothing was done")
                });
            }
            let what = format!("{} rows that belong to {}", sum(&counted.value), visible(&self.owner));
            confirm_count(session, &what).await?;
        }
        let client = session.client(Use::Change).await?;
        let erased: Answer<OwnerCounts> = client.get(&session.change(call)).await?;
        session.output.answer(&erased.raw, |output| {
            tell(output, &erased.value)?;
            output.line(format!("{} rows erased", sum(&erased.value)))
        })
    }
}

fn numbers(counts: &OwnerCounts) -> [(&'static str, u64); 8] {
    [
        ("due", counts.due),
        ("scheduled", counts.scheduled),
        ("retrying", counts.retrying),
        ("malformed", counts.malformed),
        ("dead", counts.dead),
        ("done", counts.done),
        ("unique", counts.unique),
        ("schedules", counts.schedules),
    ]
}

fn sum(counts: &OwnerCounts) -> u64 {
    numbers(counts).iter().map(|(_, number)| number).sum()
}

fn tell(output: &Output, counts: &OwnerCounts) -> Result<()> {
    output.fields(numbers(counts).map(|(name, number)| (name, number.to_string())))
}
