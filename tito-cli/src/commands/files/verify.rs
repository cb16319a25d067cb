//! `tito verify`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;
use tito_backup::{Verified, VerifyOptions, verify, verify_backup};
use tito_console::Audit;
use tito_console::api::{self, Code, Problem};

use super::super::change::confirm_count;
use super::{input, parse_bytes};
use crate::client::Answer;
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
    /// Repairs what a rule covers, which can delete rows; says how many and asks first
    #[arg(long)]
    repair: bool,
    /// Only says how many rows a repair would put right
    #[arg(long, requires = "repair")]
    dry_run: bool,
    /// How much to read per second at most, such as 20MiB
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    rate: Option<u64>,
}

impl Verify {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        if let Some(path) = &self.backup {
            let (options, bar) = self.options(session);
            let (file, _) = input(path).await?;
            let verified = verify_backup(file, &std::env::temp_dir(), &options).await?;
            drop((options, bar));
            return tell(session, &Found::Backup(path.clone()), &Checked::of(&verified)?, false);
        }
        if self.repair && (self.dry_run || !session.is_confirmed()) {
            let found = self.check(session, false).await?;
            if self.dry_run {
                return tell(session, &Found::Database, &found, true);
            }
            session.close_opened().await;
            let rows = found.value.repairable;
            confirm_count(session, &format!("{rows} rows that are wrong, which are put right or deleted")).await?;
        }
        let checked = self.check(session, self.repair).await?;
        tell(session, &Found::Database, &checked, false)
    }

    fn options(&self, session: &Session) -> (VerifyOptions, Arc<Bar>) {
        let bar = Arc::new(Bar::bytes("verify", session.output.is_json()));
        let shown = bar.clone();
        let options = VerifyOptions::default().on_progress(move |progress| shown.at(progress.bytes));
        let options = match self.rate {
            Some(rate) => options.bytes_per_second(rate),
            None => options,
        };
        (options, bar)
    }

    async fn check(&self, session: &mut Session, repairs: bool) -> Result<Checked> {
        let (options, bar) = self.options(session);
        let purpose = if repairs { Use::Change } else { Use::Read };
        let Some(database) = session.database(purpose).await? else {
            // It shows the bar too.
            drop(options);
            return there(session, self.rate, repairs, bar).await;
        };
        if !repairs {
            return Checked::of(&verify(&database, &options).await?);
        }
        let options = options.repair();
        let verified = async { Ok(verify(&database, &options).await?) };
        let audit = Audit::of(&database);
        let repaired = audit.change(&session.operator(), "repair", "the database", verified, problem).await;
        audit.close().await;
        Checked::of(&repaired?)
    }
}

/// What was verified.
pub(crate) enum Found {
    /// A database.
    Database,
    /// A backup, restored.
    Backup(PathBuf),
}

/// What a verification has found, as the API says it.
pub(crate) type Checked = Answer<api::Verified>;

impl Checked {
    /// What was found in this process.
    pub(crate) fn of(verified: &Verified) -> Result<Self> {
        let difference = |of: &tito_backup::Difference| api::Difference {
            key: api::encode_key(of.key.as_bytes()),
            wrong: of.wrong.to_string(),
            is_repaired: of.is_repaired,
        };
        let value = api::Verified {
            entries: verified.entries,
            bytes: verified.bytes,
            differences: verified.differences.iter().map(difference).collect(),
            total: verified.total,
            repaired: verified.repaired,
            repairable: verified.repairable,
            unknown: verified.unknown,
            is_sound: verified.is_sound(),
            tables_without_model: verified.tables_without_model.clone(),
            stores_without_types: verified.stores_without_types.clone(),
        };
        let raw = serde_json::value::to_raw_value(&value);
        let raw = raw.map_err(|error| Failure::new(Kind::Failed, "no JSON").because(error))?;
        Ok(Self { raw, value })
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
async fn there(session: &mut Session, rate: Option<u64>, repairs: bool, bar: Arc<Bar>) -> Result<Checked> {
    let call = crate::api::post(["verify"]).query_if("bytes_per_second", rate);
    let call = if repairs { session.change(call.query("repair", true)) } else { call.only_reads() };
    let mut lines = session.client(Use::Read).await?.lines(&call).await?;
    let unknown = |error| Failure::new(Kind::Failed, "a line is not what this program knows").because(error);
    while let Some(line) = lines.next().await? {
        let said: Said = serde_json::from_str(line.get()).map_err(unknown)?;
        if let Some(progress) = said.progress {
            bar.at(progress.bytes);
        }
        if let Some(raw) = said.verified {
            let value = serde_json::from_str(raw.get()).map_err(unknown)?;
            return Ok(Answer { raw, value });
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

/// Says what was found, and fails where that is not sound, also where whoever read the output has gone.
pub(crate) fn tell(session: &Session, found: &Found, checked: &Checked, is_rehearsal: bool) -> Result<()> {
    let what = match found {
        Found::Database => "the database".to_string(),
        Found::Backup(path) => format!("the backup {}", visible(&path.to_string_lossy())),
    };
    let verified = &checked.value;
    let told = session.output.answer(&checked.raw, |output| {
        if verified.total > 0 {
            let mut table = Table::new(["KEY", "WRONG", "REPAIRED"]);
            for of in &verified.differences {
                let is_repaired = if of.is_repaired { "yes" } else { "no" };
                table.row([of.key.clone(), of.wrong.clone(), is_repaired.to_string()]);
            }
            output.table(&table, "")?;
        }
        let (wrong, rows) = (verified.total.saturating_sub(verified.repaired), verified.entries);
        let is_complete = verified.tables_without_model.is_empty() && verified.stores_without_types.is_empty();
        let by = if is_complete { "" } else { ", by their form: no models and types were given" };
        output.line(format!("{rows} rows of {what} verified{by}; {wrong} are wrong"))?;
        if is_rehearsal {
            output.line(format!("{} of these would be put right; nothing was done", verified.repairable))?;
        }
        Ok(())
    });
    if verified.is_sound { told } else { Err(Failure::new(Kind::Unsound, format!("{what} is not sound"))) }
}
