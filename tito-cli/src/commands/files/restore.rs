//! `tito restore`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tito_backup::{Place, VerifyOptions, restore_with, verify_backup};
use tito_core::Database;

use super::input;
use super::verify::{Checked, Found, tell};
use crate::failure::Result;
use crate::output::{Bar, note};
use crate::session::Session;

/// Restores a backup into the empty directory or cluster prefix that --db names.
///
/// All its queues and schedules are paused until `tito resume --restored`, as events that were handled after the backup
/// would be handled again. If it is interrupted, the same command continues where it was.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The backup, or - for standard input
    file: PathBuf,
    /// Restores into a temporary place, verifies that, and deletes it; no --db is needed
    #[arg(long)]
    check: bool,
    /// Where to make the temporary place; by default the machine's directory for temporary files
    #[arg(long, value_name = "DIRECTORY", requires = "check")]
    space: Option<PathBuf>,
}

impl Restore {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let is_quiet = session.output.is_json();
        if self.check {
            let (file, _) = input(&self.file).await?;
            let bar = Arc::new(Bar::bytes("restoring and verifying", is_quiet));
            let shown = bar.clone();
            let space = self.space.unwrap_or_else(std::env::temp_dir);
            let options = VerifyOptions::default().on_progress(move |progress| shown.at(progress.bytes));
            let verified = verify_backup(file, &space, &options).await?;
            drop((options, bar));
            return tell(session, &Found::Backup(self.file), &Checked::of(&verified)?, false);
        }
        let url = session.url()?;
        // Refused before anything is read where it names no place for a database.
        Database::directory_of(url)?;
        let (file, _) = input(&self.file).await?;
        let bar = Bar::bytes("restore", is_quiet);
        let filled = restore_with(file, &Place::url(url), move |progress| bar.at(progress.bytes)).await?;
        let answer = json!({
            "database": filled.database,
            "rows": filled.entries,
            "left_out": filled.left_out,
            "paused_queues": filled.paused_queues,
            "paused_schedules": filled.paused_schedules,
            "unreadable": filled.unreadable.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "resumed_after": filled.resumed_after,
        });
        session.output.answer(&answer, |output| {
            output.line(format!("database {}: {} rows restored", filled.database, filled.entries))?;
            if filled.resumed_after > 0 {
                output.line(format!("{} of them by an attempt before", filled.resumed_after))?;
            }
            let (queues, schedules) = (filled.paused_queues, filled.paused_schedules);
            output.line(format!("{queues} queues and {schedules} schedules are paused"))?;
            for key in &filled.unreadable {
                output.line(format!("can't be read, so it is not paused: {key}"))?;
            }
            note("Look at what is due before `tito resume --restored`: what was handled since the backup is handled again.");
            Ok(())
        })
    }
}
