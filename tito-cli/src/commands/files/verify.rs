//! `tito verify`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tito_backup::{Verified, VerifyOptions, verify, verify_backup};
use tito_console::Audit;
use tito_console::api::{Code, Problem};

use super::{input, parse_bytes};
use crate::confirm::confirm;
use crate::failure::{Failure, Kind, Result};
use crate::output::{Bar, Table, visible};
use crate::session::{Session, Use};

/// Goes over all rows of a database and lists those that are not as they should be.
///
/// It checks their form: rows are JSON, keys can be read, every event has its topic, every entry its row. An
/// application can also verify with its models. Exit code 6 if something is wrong that was not repaired.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Verifies a backup, by restoring it into a temporary place
    #[arg(long, value_name = "FILE", conflicts_with = "repair")]
    backup: Option<PathBuf>,
    /// Puts right what a rule says how; asks before that
    #[arg(long)]
    repair: bool,
    /// How much to read per second at most, such as 20MiB
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
        if self.repair {
            let what = "This puts right what a rule says how, by which rows can be deleted. Go on".to_string();
            confirm(session, what, "--yes does, without --repair it only verifies").await?;
        }
        let bar = Arc::new(Bar::bytes("verify", session.output.is_json()));
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
                    // It shows the bar too.
                    drop(options);
                    return there(session, self.rate, self.repair, bar).await;
                };
                let verified = async { Ok(verify(&database, &options).await?) };
                let verified = if self.repair {
                    let audit = Audit::of(&database);
                    let repaired = audit.change(&session.operator(), "repair", "the database", verified, problem).await;
                    audit.close().await;
                    repaired?
                } else {
                    verified.await?
                };
                (Found::Database, verified)
            }
        };
        drop((options, bar));
        tell(session, &found, &verified)
    }
}

/// As the audit has a failure.
fn problem(failure: &Failure) -> Problem {
    let code = match failure.kind {
        Kind::NotFound => Code::NotFound,
        Kind::Unavailable => Code::Unavailable,
        Kind::Unknown => Code::OutcomeUnknown,
        _ => Code::Internal,
    };
    Problem { code, message: failure.to_string(), retryable: failure.kind == Kind::Unavailable }
}

/// Lets whoever has the database open verify it.
async fn there(session: &mut Session, rate: Option<u64>, repair: bool, bar: Arc<Bar>) -> Result<()> {
    let call = crate::api::post(["verify"]).query_if("bytes_per_second", rate);
    let call = if repair { session.change(call.query("repair", true)) } else { call.only_reads() };
    let mut lines = session.client(Use::Read).await?.lines(&call).await?;
    while let Some(line) = lines.next().await? {
        let said: Said = serde_json::from_str(line.get())
            .map_err(|error| Failure::new(Kind::Failed, "a line is not what this program knows").because(error))?;
        if let Some(progress) = said.progress {
            bar.at(progress.bytes);
        }
        if let Some(verified) = said.verified {
            drop(bar);
            return told(session, &verified);
        }
        if let Some(error) = said.error {
            return Err(Failure::new(if error.retryable { Kind::Unavailable } else { Kind::Failed }, error.message));
        }
    }
    Err(Failure::new(Kind::Unavailable, "the answer was cut off"))
}

/// A line of a verification.
#[derive(Deserialize)]
struct Said {
    progress: Option<Progressed>,
    verified: Option<Box<RawValue>>,
    error: Option<Problem>,
}

#[derive(Deserialize)]
struct Progressed {
    bytes: u64,
}

fn told(session: &Session, raw: &RawValue) -> Result<()> {
    let verified: tito_console::api::Verified = serde_json::from_str(raw.get())
        .map_err(|error| Failure::new(Kind::Failed, "the answer is not what this program knows").because(error))?;
    let told = session.output.answer(&raw, |output| {
        if verified.total > 0 {
            let mut table = Table::new(["KEY", "WRONG", "REPAIRED"]);
            for of in &verified.differences {
                table.row([of.key.clone(), of.wrong.clone(), yes_or_no(of.is_repaired)]);
            }
            output.table(&table, "")?;
        }
        let (wrong, rows) = (verified.total.saturating_sub(verified.repaired), verified.entries);
        output.line(format!("{rows} rows of the database verified, by their form; {wrong} are wrong"))
    });
    verdict(verified.is_sound, "the database", told)
}

fn yes_or_no(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.to_string()
}

/// What is not sound fails as that, also where whoever read the output has gone.
fn verdict(is_sound: bool, what: &str, told: Result<()>) -> Result<()> {
    if is_sound { told } else { Err(Failure::new(Kind::Unsound, format!("{what} is not sound"))) }
}

/// Says what was found, and fails where that is not sound.
pub(crate) fn tell(session: &Session, found: &Found, verified: &Verified) -> Result<()> {
    let what = match found {
        Found::Database => "the database".to_string(),
        Found::Backup(path) => format!("the backup {}", visible(&path.to_string_lossy())),
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
        "stores_without_types": verified.stores_without_types,
        "differences": differences,
    });
    let told = session.output.answer(&answer, |output| {
        if verified.total > 0 {
            let mut table = Table::new(["KEY", "WRONG", "REPAIRED"]);
            for of in &verified.differences {
                table.row([of.key.to_string(), of.wrong.to_string(), yes_or_no(of.is_repaired)]);
            }
            output.table(&table, "")?;
        }
        let (wrong, rows) = (verified.total - verified.repaired, verified.entries);
        let by = if verified.is_complete() { "" } else { ", by their form: no models and types were given" };
        output.line(format!("{rows} rows of {what} verified{by}; {wrong} are wrong"))
    });
    verdict(verified.is_sound(), &what, told)
}
