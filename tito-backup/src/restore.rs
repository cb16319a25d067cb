//! Restores a backup.

use tokio::io::AsyncRead;

use crate::error::Result;
use crate::fill::{Filled, Filler, Row};
use crate::keys;
use crate::mark::Mark;
use crate::options::{OnProgress, Progress};
use crate::paused::paused;
use crate::place::Place;
use crate::read::BackupReader;

/// Restores a backup into an empty directory, or an empty cluster or prefix of one.
///
/// The restored database has its own id, timestamps after the backup's, no members, leases and marks of running
/// processes, and **all its queues and schedules are paused**: events that were handled after the backup would be
/// handled again. [`resume`](crate::resume) ends that.
///
/// Until all of the backup was read and checked, the target refuses to be opened
/// ([`IncompleteDatabase`](tito_core::TitoError::IncompleteDatabase)); restoring again from the same backup continues
/// where it was cut off. An error leaves the target as it is: delete it, or restore again.
///
/// # Errors
/// [`BackupError::Damaged`](crate::BackupError::Damaged) and others, with what is wrong and where;
/// [`InvalidTarget`](tito_core::TitoError::InvalidTarget) within
/// [`BackupError::Database`](crate::BackupError::Database) if the target is not empty, or its clock is behind the backup's.
pub async fn restore<R: AsyncRead + Unpin + Send>(backup: R, target: &Place) -> Result<Filled> {
    restoring(backup, target, None).await
}

/// Like [`restore`], and reports its progress.
///
/// # Errors
/// The same.
pub async fn restore_with<R, F>(backup: R, target: &Place, on_progress: F) -> Result<Filled>
where
    R: AsyncRead + Unpin + Send,
    F: Fn(&Progress) + Send + Sync + 'static,
{
    restoring(backup, target, Some(std::sync::Arc::new(on_progress))).await
}

async fn restoring<R>(backup: R, target: &Place, on_progress: Option<OnProgress>) -> Result<Filled>
where
    R: AsyncRead + Unpin + Send,
{
    let mut backup = BackupReader::open(backup).await?;
    let header = backup.header();
    let mark = Mark::new("restore", header.database, header.timestamp);
    let mut filler = Filler::begin(target, mark, header.timestamp(), "restore", on_progress).await?;
    loop {
        let added = match backup.next_block().await {
            Ok(Some(rows)) => filler.add(rows, restored).await,
            Ok(None) => return filler.finish().await,
            Err(error) => Err(error),
        };
        if let Err(error) = added {
            return filler.fail(error).await;
        }
    }
}

/// What becomes of a row.
fn restored(key: &[u8], value: Vec<u8>) -> Row {
    if is_of_workers(key) { Row::LeftOut } else { paused(key, value) }
}

/// Whether a row tells of workers, which are elsewhere.
pub(crate) fn is_of_workers(key: &[u8]) -> bool {
    let of_workers = ["member:", "lease:", "process:", "checkpoint:"];
    if [b"!worker:".as_slice(), b"!retire:", b"!activity:", b"!backlog:", b"!looked:"]
        .iter()
        .any(|prefix| key.starts_with(prefix))
    {
        return true;
    }
    keys::reserved_prefix(key).is_some_and(|prefix| of_workers.contains(&prefix))
}
