//! `tito copy`.

use clap::Args;
use serde_json::json;
use tito_backup::{BackupOptions, Place, copy};
use tito_core::Database;

use super::parse_bytes;
use crate::failure::Result;
use crate::output::{Bar, note};
use crate::session::Session;

/// Copies a database that nobody uses into an empty place, to move it between a directory and a cluster.
///
/// The copy refuses to be opened until it is complete. If it is interrupted, the same command continues where it was.
#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// The URL of the database
    from: String,
    /// The URL of the empty place
    to: String,
    /// How much to read per second at most, such as 20MiB
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    rate: Option<u64>,
}

impl Copy {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        for url in [&self.from, &self.to] {
            Database::directory_of(url)?;
        }
        let bar = Bar::bytes("copy", session.output.is_json());
        let mut options = BackupOptions::default().unlimited().on_progress(move |progress| bar.at(progress.bytes));
        if let Some(rate) = self.rate {
            options = options.bytes_per_second(rate);
        }
        let copied = copy(&Place::url(&self.from), &Place::url(&self.to), &options).await?;
        // It shows the bar.
        drop(options);
        let answer =
            json!({"database": copied.database, "rows": copied.entries, "resumed_after": copied.resumed_after});
        session.output.answer(&answer, |output| {
            output.line(format!("database {}: {} rows copied", copied.database, copied.entries))
        })?;
        if !session.output.is_json() {
            note("Nothing is paused in the copy: only one of both may be used from now on.");
        }
        Ok(())
    }
}
