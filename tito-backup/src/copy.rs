//! Copies a database from one place to another, between any engines.

use crate::error::{BackupError, Result};
use crate::fill::{Filled, Filler, Row};
use crate::mark::Mark;
use crate::options::BackupOptions;
use crate::pace::Pace;
use crate::place::Place;
use crate::restore::is_of_workers;
use crate::write::Pages;

/// Copies a database that nobody uses into an empty place, such as from a directory to a cluster or back. It is for
/// moving: nothing is paused in the copy, so nobody may use the source any more once the copy is used.
///
/// A directory can't be in use by another process. Whether anybody uses a cluster's keys can't be checked; if they
/// changed between two attempts, the second one is refused.
///
/// The copy has its own id and timestamps after the source's. Until it is complete it refuses to be opened
/// ([`IncompleteDatabase`](tito_core::TitoError::IncompleteDatabase)); if this was cut off, the same call continues
/// where it was: it reads the source again, and writes what is missing. The block size of the options is how much is
/// read at once.
///
/// # Errors
/// [`NoDatabase`](tito_core::TitoError::NoDatabase) and [`InvalidTarget`](tito_core::TitoError::InvalidTarget) within
/// [`BackupError::Database`], [`BackupError::OtherSource`], [`BackupError::SourceChanged`].
pub async fn copy(source: &Place, target: &Place, options: &BackupOptions) -> Result<Filled> {
    let source = source.open_read_only().await?;
    let copied = copying(&source, target, options).await;
    source.close().await;
    copied
}

async fn copying(source: &tito_core::Database, target: &Place, options: &BackupOptions) -> Result<Filled> {
    let identity = source.identity().ok_or(BackupError::NoIdentity)?;
    let snapshot = source.snapshot().await?;
    let mark = Mark::new("copy", identity.id, 0);
    let on_progress = options.on_progress.clone();
    let mut filler = Filler::begin(target, mark, snapshot.timestamp(), "copy", on_progress).await?;
    let mut pace = Pace::new(source, options.bytes_per_second);
    let mut pages = Pages::of(&snapshot, options.block_bytes);
    let mut bytes = 0;
    loop {
        let added = match pages.next().await {
            Ok(page) if page.is_empty() => break,
            Ok(page) => {
                bytes += page.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>();
                filler.add(page, copied).await
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = added {
            return filler.fail(error).await;
        }
        pace.wait_for(bytes).await;
    }
    drop(pages);
    // All that was read has to be what there was before the target may be whole.
    if let Err(error) = snapshot.release().await {
        return filler.fail(error.into()).await;
    }
    filler.finish().await
}

/// What becomes of a row.
fn copied(key: &[u8], value: Vec<u8>) -> Row {
    if is_of_workers(key) { Row::LeftOut } else { Row::AsItIs(value) }
}
