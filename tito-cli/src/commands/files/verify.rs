//! `tito verify`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tito_backup::{Verified, VerifyOptions, verify, verify_backup};

use super::{input, parse_bytes};
use crate::failure::{Failure, Kind, Result};
use crate::output::{Bar, Table};
use crate::session::{Session, Use};

/// Goes over all rows of a database and lists those that are not as they should be.
///
/// By their form: rows are JSON, keys can be read, every event has its topic, every entry its row. An application can verify
/// by its models too. Exit code 6 if something is wrong that was not put right.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Verifies a backup, by restoring it into a temporary place
    #[arg(long, value_name = "FILE", conflicts_with = "repair")]
    backup: Option<PathBuf>,
    /// Puts right what a rule says how
    #[arg(long)]
    repair: bool,
    /// How much is read a second at the most, as in 20MiB
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    rate: Option<u64>,
}

/// What was verified.
pub(crate) enum Found {
    /// A database.
    Database,
    /// A backup, restored.
    Backup(PathBuf),
}

impl Verify {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let bar = Arc::new(Bar::bytes("verify", None, session.output.is_json()));
        let shown = bar.clone();
        let mut options = VerifyOptions::default().on_progress(move |progress| shown.at(progress.bytes));
        if let Some(rate) = self.rate {
            options = options.bytes_per_second(rate);
        }
        if self.repair {
            options = options.repair();
        }
        let (found, verified) = match self.backup {
            Some(path) => {
                let (file, _) = input(&path).await?;
                let verified = verify_backup(file, &std::env::temp_dir(), &options).await?;
                (Found::Backup(path), verified)
            }
            None => {
                let purpose = if self.repair { Use::Change } else { Use::Read };
                let Some(database) = session.database(purpose).await? else {
                    return Err(Failure::usage(
                        "an application has the database open: back it up and verify that, or close it first",
                    ));
                };
                (Found::Database, verify(&database, &options).await?)
            }
        };
        drop((options, bar));
        tell(session, &found, &verified)
    }
}

/// Says what was found, and fails where that is not sound.
pub(crate) fn tell(session: &Session, found: &Found, verified: &Verified) -> Result<()> {
    let what = match found {
        Found::Database => "the database".to_string(),
        Found::Backup(path) => format!("the backup {}", path.display()),
    };
    let differences: Vec<_> = verified
        .differences
        .iter()
        .map(|of| json!({"key": of.key.to_string(), "wrong": of.wrong.to_string(), "is_repaired": of.is_repaired}))
        .collect();
    let answer = json!({
        "is_sound": verified.is_sound(),
        "is_complete": verified.is_complete(),
        "rows": verified.entries,
        "bytes": verified.bytes,
        "total": verified.total,
        "repaired": verified.repaired,
        "unknown": verified.unknown,
        "tables_without_model": verified.tables_without_model,
        "differences": differences,
    });
    session.output.answer(&answer, |output| {
        if verified.total > 0 {
            let mut table = Table::new(["KEY", "WRONG", "REPAIRED"]);
            for of in &verified.differences {
                let repaired = if of.is_repaired { "yes" } else { "no" };
                table.row([of.key.to_string(), of.wrong.to_string(), repaired.to_string()]);
            }
            output.table(&table, "")?;
        }
        let (wrong, rows) = (verified.total - verified.repaired, verified.entries);
        let by = if verified.is_complete() { "" } else { ", by their form: no models were given" };
        output.line(format!("{rows} rows of {what} verified{by}; {wrong} are wrong"))
    })?;
    if verified.is_sound() {
        return Ok(());
    }
    Err(Failure::new(Kind::Unsound, format!("{what} is not sound")))
}
