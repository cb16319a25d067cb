//! Writes a backup.

use std::io;

use futures::future::join;
use tito_core::database::PageSize;
use tito_core::engine::{Direction, KeyValue, PackedRows};
use tito_core::keys::KeyRange;
use tito_core::{Database, DatabaseSnapshot, KeyText};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use xxhash_rust::xxh3::Xxh3;

use crate::error::{BackupError, Result};
use crate::format::{Header, MOST_ENTRIES, Trailer, around_block};
use crate::options::{BackupOptions, Progress};
use crate::pace::Pace;

/// What a backup contains.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// What it is of.
    pub header: Header,
    /// Rows.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Blocks.
    pub blocks: u64,
}

/// Writes everything that a database has at one timestamp into a stream, while it is in use. The stream is flushed at
/// the end, but not closed: a file still has to be synchronised.
///
/// Two blocks are in memory at a time. The database is read from a [snapshot](Database::snapshot), with the costs
/// described there for as long as the backup takes. What was written before an error, or before the future was dropped,
/// is not a backup and will be refused.
///
/// # Errors
/// [`BackupError::Database`], [`BackupError::Stream`]; [`BackupError::NoIdentity`] for an engine without one.
pub async fn backup<W>(database: &Database, mut output: W, options: &BackupOptions) -> Result<Totals>
where
    W: AsyncWrite + Unpin + Send,
{
    let identity = database.identity().ok_or(BackupError::NoIdentity)?;
    let snapshot = database.snapshot().await?;
    let taken_millis = database.now().await?.millis();
    let header = Header::new(identity.id, identity.format, snapshot.timestamp(), taken_millis);
    let (bytes, seed) = header.encode();
    output.write_all(&bytes).await.map_err(BackupError::stream(WRITING))?;

    let mut pace = Pace::new(database, options.bytes_per_second);
    let mut written = Written { trailer: Trailer::default(), sums: Xxh3::with_seed(seed) };
    let mut pages = Pages::of(&snapshot, options.block_bytes);
    let mut rows = pages.next_packed().await?;
    while let Some(last) = rows.last_key() {
        // The next one is read while this one is written.
        let (wrote, next) = join(written.write(&mut output, &rows, seed), pages.next_packed()).await;
        wrote.map_err(BackupError::stream(WRITING))?;
        let next = next?;
        let Trailer { entries, bytes, .. } = written.trailer;
        if let Some(tell) = &options.on_progress {
            tell(&Progress { entries, bytes, key: KeyText::from(last) });
        }
        rows = next;
        pace.wait_for(bytes).await;
    }
    // Before the trailer, which says that all of it can be relied on.
    drop(pages);
    snapshot.release().await?;
    let trailer = Trailer { sum: written.sums.digest(), ..written.trailer };
    output.write_all(&trailer.encode(seed)).await.map_err(BackupError::stream(WRITING))?;
    output.flush().await.map_err(BackupError::stream(WRITING))?;
    let Trailer { blocks, entries, bytes, .. } = trailer;
    Ok(Totals { header, entries, bytes, blocks })
}

const WRITING: &str = "writing the backup";

/// What was written so far.
struct Written {
    trailer: Trailer,
    sums: Xxh3,
}

impl Written {
    /// Writes a block of these rows.
    async fn write<W>(&mut self, output: &mut W, rows: &PackedRows, seed: u64) -> io::Result<()>
    where
        W: AsyncWrite + Unpin + Send,
    {
        self.trailer.blocks += 1;
        self.trailer.entries += rows.len() as u64;
        self.trailer.bytes += rows.content_bytes() as u64;
        let (head, checksum) = around_block(self.trailer.blocks, rows, seed);
        let checksum = checksum.to_le_bytes();
        self.sums.update(&checksum);
        output.write_all(&head).await?;
        output.write_all(rows.packed()).await?;
        output.write_all(&checksum).await
    }
}

/// All rows of a snapshot, page by page.
pub(crate) struct Pages<'a> {
    snapshot: &'a DatabaseSnapshot,
    rest: KeyRange,
    size: PageSize,
}

impl<'a> Pages<'a> {
    pub(crate) fn of(snapshot: &'a DatabaseSnapshot, bytes: usize) -> Self {
        Self { snapshot, rest: KeyRange::prefix(""), size: PageSize::entries(MOST_ENTRIES).and_bytes(bytes) }
    }

    /// Empty at the end.
    pub(crate) async fn next(&mut self) -> tito_core::Result<Vec<KeyValue>> {
        let page = self.snapshot.next_page(self.rest.clone(), Direction::Ascending, self.size).await?;
        if let Some((last, _)) = page.last() {
            self.rest = self.rest.clone().after(last);
        }
        Ok(page)
    }

    /// The next page in one buffer.
    async fn next_packed(&mut self) -> tito_core::Result<PackedRows> {
        let rows = self.snapshot.next_packed(self.rest.clone(), self.size).await?;
        if let Some(last) = rows.last_key() {
            self.rest = self.rest.clone().after(last);
        }
        Ok(rows)
    }
}
