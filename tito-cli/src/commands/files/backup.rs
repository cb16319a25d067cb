//! `tito backup`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use http_body_util::BodyExt as _;
use serde_json::json;
use tito_backup::{BackupOptions, Totals, backup, check};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::part::Part;
use super::{STANDARD, bytes, parse_bytes};
use crate::client::cut;
use crate::failure::{Failure, Result};
use crate::output::{Bar, note, visible};
use crate::session::{Session, Use};

/// Writes everything that a database has at one moment into a file, while it is in use.
///
/// The file gets its name once it is complete and on disk. `-` is standard output. `tito restore --check FILE` proves
/// that it restores.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The file, or -
    file: PathBuf,
    /// Replaces a file that exists
    #[arg(long)]
    force: bool,
    /// How much to read per second at most, such as 20MiB
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    rate: Option<u64>,
    /// Reads as fast as it can
    #[arg(long, conflicts_with = "rate")]
    unlimited: bool,
}

impl Backup {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let is_quiet = session.output.is_json();
        let bar = Arc::new(Bar::bytes("backup", is_quiet));
        if self.file == Path::new(STANDARD) {
            // Whoever reads it has to have all of it.
            let totals = self.write(session, &bar, tokio::io::stdout()).await?;
            drop(bar);
            if let Some(totals) = totals {
                note(format!("{} rows, {}", totals.entries, bytes(totals.bytes)));
            }
            return Ok(());
        }
        let mut part = Part::create(&self.file, self.force).await?;
        let written = self.write(session, &bar, part.file()).await?;
        let totals = match written {
            Some(totals) => totals,
            // It came over a connection: it is read once more.
            None => {
                let (file, _) = super::input(part.part()).await?;
                check(file).await?
            }
        };
        part.finish().await?;
        drop(bar);
        let answer = json!({
            "file": self.file.to_string_lossy(),
            "database": totals.header.database,
            "taken_millis": totals.header.taken_millis,
            "rows": totals.entries,
            "bytes": totals.bytes,
        });
        session.output.answer(&answer, |output| {
            let file = visible(&self.file.to_string_lossy());
            output.line(format!("{file}: {} rows, {}", totals.entries, bytes(totals.bytes)))
        })
    }

    /// What it came to, where this process has read the database itself.
    async fn write<W: AsyncWrite + Unpin + Send>(
        &self,
        session: &mut Session,
        bar: &Arc<Bar>,
        mut output: W,
    ) -> Result<Option<Totals>> {
        if let Some(database) = session.database(Use::Read).await? {
            let bar = bar.clone();
            let mut options = BackupOptions::default().on_progress(move |progress| bar.at(progress.bytes));
            if self.unlimited {
                options = options.unlimited();
            }
            if let Some(rate) = self.rate {
                options = options.bytes_per_second(rate);
            }
            return Ok(Some(backup(&database, output, &options).await?));
        }
        let rate = if self.unlimited { Some(u64::MAX) } else { self.rate };
        let call = session.change(crate::api::get(["backup"])).query_if("bytes_per_second", rate);
        let mut body = session.client(Use::Read).await?.stream(&call).await?;
        let mut written = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(cut)?;
            if let Some(data) = frame.data_ref() {
                let failed = |error| Failure::io("the backup can't be written", error);
                output.write_all(data).await.map_err(failed)?;
                written += data.len() as u64;
                bar.at(written);
            }
        }
        output.flush().await.map_err(|error| Failure::io("the backup can't be written", error))?;
        Ok(None)
    }
}
