//! `tito owned`, `tito erase`.

use clap::Args;
use tito_console::api::OwnerCounts;

use super::change::{Counted, Rehearsal, destroy_counted, number_of};
use super::paging::Paging;
use crate::api;
use crate::failure::Result;
use crate::output::{Table, visible};
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
        let what = format!("rows that belong to {}, which are erased", visible(&self.owner));
        let erased = destroy_counted::<OwnerCounts, OwnerCounts>(session, call, self.rehearsal, &what).await?;
        let Some(erased) = erased else { return Ok(()) };
        session.output.answer(&erased.raw, |output| {
            output.fields(erased.value.kinds().into_iter().map(|(name, number)| (name, number.to_string())))?;
            output.line(format!("{} erased", number_of(&erased.value, "rows")))
        })
    }
}

impl Counted for OwnerCounts {
    fn count(&self) -> u64 {
        self.kinds().iter().map(|(_, number)| number).sum()
    }

    fn is_at_least(&self) -> bool {
        self.at_least
    }

    fn kinds(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("due", self.due),
            ("scheduled", self.scheduled),
            ("retrying", self.retrying),
            ("malformed", self.malformed),
            ("dead", self.dead),
            ("done", self.done),
            ("unique", self.unique),
            ("schedules", self.schedules),
        ]
    }
}
