//! `tito engine`.

use clap::Subcommand;
use serde_json::json;
use tito_core::Database;
use tito_core::embedded::EmbeddedBackend;

use super::files::bytes;
use crate::failure::{Failure, Result};
use crate::session::{Session, Target, Use};

/// The embedded engine.
#[derive(Debug, Subcommand)]
pub(crate) enum Engine {
    /// Says how much space a database takes that no application has open
    Sizes,
    /// Gives the unused space of a database that no application has open back to the file system
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
    let closed =
        || Failure::usage("the sizes of an application's database are told by its own metrics; close it first");
    let database = session.database(Use::Read).await?.ok_or_else(closed)?;
    let engine = database
        .backend::<EmbeddedBackend>()
        .ok_or_else(|| Failure::usage("a cluster tells its sizes itself: this is for directories"))?;
    let sizes = engine.sizes().await?;
    let answer = json!({
        "database_bytes": sizes.database_bytes, "log_bytes": sizes.log_bytes, "unflushed_bytes": sizes.unflushed_bytes,
    });
    session.output.answer(&answer, |output| {
        output.fields([
            ("database file", bytes(sizes.database_bytes)),
            ("log", bytes(sizes.log_bytes)),
            ("in the log alone", bytes(sizes.unflushed_bytes)),
        ])
    })
}

async fn compact(session: &mut Session) -> Result<()> {
    let Target::Directory(path) = session.target()? else {
        return Err(Failure::usage("only a directory of the embedded engine can be compacted"));
    };
    // Refuses what is no database, and what an application has open.
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
