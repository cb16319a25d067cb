//! `tito engine`.

use clap::Subcommand;
use serde_json::json;
use tito_console::api::Sizes;
use tito_core::Database;
use tito_core::embedded::EmbeddedBackend;

use super::files::bytes;
use crate::api;
use crate::client::Answer;
use crate::failure::{Failure, Result};
use crate::session::{Session, Target, Use};

/// The embedded engine.
#[derive(Debug, Subcommand)]
pub(crate) enum Engine {
    /// Shows which database it is, and how much space it takes
    Sizes,
    /// Returns unused space to the file system; no application may have the database open
    Compact,
}

impl Engine {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::Sizes => sizes(session).await,
            Self::Compact => compact(session).await,
        }
    }
}

async fn sizes(session: &mut Session) -> Result<()> {
    let client = session.client(Use::Read).await?;
    let answer: Answer<tito_console::api::Engine> = client.get(&api::get(["engine"])).await?;
    session.output.answer(&answer.raw, |output| {
        let engine = &answer.value;
        let size = |of: fn(&Sizes) -> u64| engine.sizes.as_ref().map(|sizes| bytes(of(sizes))).unwrap_or_default();
        output.fields([
            ("database", engine.database.map(|id| id.to_string()).unwrap_or_default()),
            ("format", engine.format.map(|format| format.to_string()).unwrap_or_default()),
            ("database file", size(|sizes| sizes.database_bytes)),
            ("log", size(|sizes| sizes.log_bytes)),
            ("in the log alone", size(|sizes| sizes.unflushed_bytes)),
        ])
    })
}

async fn compact(session: &mut Session) -> Result<()> {
    let Target::Directory(path) = session.target()? else {
        return Err(Failure::usage("only a directory of the embedded engine can be compacted"));
    };
    // Refuses what is not a database, and what an application has open.
    let opened = session.database(Use::Change).await?;
    let Some(database) = opened else {
        return Err(Failure::usage("an application has the database open: close it first"));
    };
    Database::close(&database).await;
    let before = std::fs::metadata(path.join("tito.redb")).map(|of| of.len()).unwrap_or_default();
    let is_changed = EmbeddedBackend::compact(&path).await?;
    let after = std::fs::metadata(path.join("tito.redb")).map(|of| of.len()).unwrap_or_default();
    let answer = json!({"is_changed": is_changed, "before_bytes": before, "after_bytes": after});
    session.output.answer(&answer, |output| output.line(format!("{} before, {} now", bytes(before), bytes(after))))
}
