//! `tito reactors`.

use clap::{Args, Subcommand};
use tito_console::api::{Reactor, ReplayFrom, ReplayReactor};

use super::change::make;
use super::paging::Paging;
use crate::api;
use crate::failure::{Failure, Result};
use crate::output::{Table, parse_moment, visible};
use crate::session::{Session, Use};

/// Reactors of an event store.
#[derive(Debug, Subcommand)]
pub(crate) enum Reactors {
    /// Lists the reactors of a store, and how far they are
    List {
        /// The store
        store: String,
        #[command(flatten)]
        paging: Paging,
    },
    /// Makes a reactor start again
    Replay(Replay),
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The store
    store: String,
    /// The reactor
    reactor: String,
    /// Where it begins: first, last, new, a sequence, or a time as 2026-03-01T08:00:00Z or -2h
    #[arg(long, value_name = "WHERE", allow_hyphen_values = true)]
    from: String,
}

impl Reactors {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List { store, paging } => {
                let client = session.client(Use::Read).await?;
                let reactors = paging.read::<Reactor>(&client, &api::get(["stores", &store, "reactors"])).await?;
                reactors.tell(&session.output, table, "The store has no reactor.")
            }
            Self::Replay(Replay { store, reactor, from }) => {
                let body = ReplayReactor { from: parse_from(&from).map_err(Failure::usage)? };
                let client = session.client(Use::Change).await?;
                let call = api::post(["stores", &store, "reactors", &reactor, "replay"]).json(&body)?;
                make(session, &client, call, format!("{} begins anew", visible(&reactor))).await
            }
        }
    }
}

fn parse_from(text: &str) -> Result<ReplayFrom, String> {
    Ok(match text {
        "first" => ReplayFrom::First,
        "last" => ReplayFrom::Last,
        "new" => ReplayFrom::New,
        text => match text.parse() {
            Ok(sequence) => ReplayFrom::Sequence(sequence),
            Err(_) => ReplayFrom::Time(parse_moment(text)?.timestamp()),
        },
    })
}

fn table(reactors: &[Reactor]) -> Table {
    let mut table = Table::new(["REACTOR", "#POSITION", "#BEHIND", "#OPEN"]);
    for reactor in reactors {
        table.row([
            reactor.name.clone(),
            reactor.position.to_string(),
            reactor.last_sequence.saturating_sub(reactor.position).to_string(),
            reactor.open.to_string(),
        ]);
    }
    table
}
