//! `tito dead`.

use clap::{Args, Subcommand};
use tito_console::api::{Affected, DeadGroups, DeadLetter, Letters, Redriven};
use uuid::Uuid;

use super::change::{Rehearsal, destroy, number_of};
use super::paging::Paging;
use super::queues::Times;
use super::shown::{self, when};
use crate::api;
use crate::client::Answer;
use crate::failure::{Failure, Result};
use crate::output::{Table, note, visible};
use crate::session::{Session, Use};

/// Dead letters of a queue.
#[derive(Debug, Subcommand)]
pub(crate) enum Dead {
    /// Lists the dead letters of a queue
    List(List),
    /// Groups dead letters by what their errors have in common, the newest first
    Group(Group),
    /// Makes dead letters due again
    Redrive(Chosen),
    /// Deletes dead letters
    Purge(Chosen),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// The queue: TOPIC or TOPIC@GROUP
    queue: String,
    /// Only of this partition
    #[arg(long, value_name = "NUMBER")]
    partition: Option<u16>,
    #[command(flatten)]
    paging: Paging,
}

#[derive(Debug, Args)]
pub(crate) struct Group {
    /// The queue: TOPIC or TOPIC@GROUP
    queue: String,
    /// How many rows are read at most
    #[arg(long, value_name = "NUMBER")]
    rows: Option<u32>,
    /// Where to continue, from an earlier answer
    #[arg(long, value_name = "WHERE")]
    after: Option<String>,
}

/// Those for which all holds that is said.
#[derive(Debug, Args)]
pub(crate) struct Chosen {
    /// The queue: TOPIC or TOPIC@GROUP
    queue: String,
    /// All of the queue
    #[arg(long, conflicts_with_all = ["id", "key", "group", "entity", "error", "from", "before"])]
    all: bool,
    /// The one of the event with this id
    #[arg(long)]
    id: Option<Uuid>,
    /// The one with this key, from the JSON of `list`
    #[arg(long, conflicts_with_all = ["id", "group", "entity", "error", "from", "before"])]
    key: Option<String>,
    /// Those of a group, by its fingerprint
    #[arg(long, value_name = "FINGERPRINT")]
    group: Option<String>,
    /// Those of events about this
    #[arg(long)]
    entity: Option<String>,
    /// Those whose last error contains this
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    #[command(flatten)]
    times: Times,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

impl Chosen {
    fn letters(&self) -> Result<Letters> {
        let (from, before) = self.times.seconds();
        let letters = Letters {
            all: self.all,
            key: self.key.clone(),
            id: self.id,
            entity: self.entity.clone(),
            error: self.error.clone(),
            fingerprint: self.group.clone(),
            from,
            before,
        };
        if letters == Letters::default() {
            return Err(Failure::usage(
                "which dead letters? --all, --id, --group, --entity, --error, --from or --before says it",
            ));
        }
        Ok(letters)
    }
}

impl Dead {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List(List { queue, partition, paging }) => {
                let client = session.client(Use::Read).await?;
                let call = api::get(["queues", &queue, "dead"]).query_if("partition", partition);
                let letters = paging.read::<DeadLetter>(&client, &call).await?;
                letters.tell(&session.output, table, "No dead letter is there.")
            }
            Self::Group(group) => group.run(session).await,
            Self::Redrive(chosen) => redrive(session, chosen).await,
            Self::Purge(chosen) => {
                let letters = chosen.letters()?;
                let call = api::post(["queues", &chosen.queue, "dead", "purge"]).json(&letters)?;
                let what = format!("dead letter(s) of {}, which are deleted", visible(&chosen.queue));
                let Some(answer) = destroy::<Affected>(session, call, chosen.rehearsal, &what).await? else {
                    return Ok(());
                };
                let purged = number_of(&answer.value, "dead letter(s)");
                session.output.answer(&answer.raw, |output| output.line(format!("{purged} deleted")))
            }
        }
    }
}

impl Group {
    async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Read).await?;
        let call = api::get(["queues", &self.queue, "dead", "groups"])
            .query_if("rows", self.rows)
            .query_if("after", self.after);
        let groups: Answer<DeadGroups> = client.get(&call).await?;
        session.output.answer(&groups.raw, |output| {
            let groups = &groups.value;
            let mut table = Table::new(["FINGERPRINT", "#LETTERS", "NEWEST", "OLDEST", "ERROR"]);
            for group in &groups.items {
                table.row([
                    group.fingerprint.clone().unwrap_or_else(|| "no event".to_string()),
                    group.count.to_string(),
                    when(group.newest),
                    when(group.oldest),
                    group.error.clone().unwrap_or_default(),
                ]);
            }
            output.table(&table, "No dead letter is there.")?;
            if groups.others > 0 {
                output.line(format!("{} are in further groups", groups.others))?;
            }
            if let Some(next) = &groups.next {
                let (searched, at_least) = (groups.searched, groups.at_least);
                note(format!("searched {searched} of at least {at_least}; --after '{}' goes on", visible(next)));
            }
            Ok(())
        })
    }
}

async fn redrive(session: &mut Session, chosen: Chosen) -> Result<()> {
    let letters = chosen.letters()?;
    let client = session.client(chosen.rehearsal.purpose()).await?;
    let call = api::post(["queues", &chosen.queue, "dead", "redrive"]).json(&letters)?;
    let call = if chosen.rehearsal.dry_run { call.rehearsed() } else { session.change(call) };
    let answer: Answer<Redriven> = client.get(&call).await?;
    session.output.answer(&answer.raw, |output| {
        let Redriven { events, skipped, dry_run, .. } = answer.value;
        let verb = if dry_run { "would be" } else { "are" };
        output.line(format!("{events} events {verb} due again in {}", visible(&chosen.queue)))?;
        if skipped > 0 {
            output.line(format!("{skipped} dead letters are no events, and stay"))?;
        }
        Ok(())
    })
}

fn table(letters: &[DeadLetter]) -> Table {
    let mut table = Table::new(["ID", "ENTITY", "ACTION", "FAILED", "#ATTEMPTS", "ERROR"]);
    for letter in letters {
        let failed = letter.given_up_at.map(when).unwrap_or_default();
        match &letter.event {
            Some(event) => table.row([
                event.id.to_string(),
                event.entity.clone(),
                event.action.clone(),
                failed,
                event.failed_attempts.to_string(),
                shown::last_error(event),
            ]),
            None => {
                let bytes = letter.bytes.clone().unwrap_or_default();
                table.row([letter.key.clone(), String::new(), String::new(), failed, String::new(), bytes]);
            }
        }
    }
    table
}
