//! Reads a backup, and trusts nothing that it has not checked.

use tito_core::KeyText;
use tito_core::engine::{DatabaseIdentity, KeyValue};
use tokio::io::{AsyncRead, AsyncReadExt};
use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_64_with_seed};

use crate::error::{BackupError, Result};
use crate::format::{
    BLOCK, BlockHead, CHECKSUM_BYTES, FORMAT, HEAD_BYTES, Header, MAGIC, MOST_ENTRIES, MOST_HEADER_BYTES, TRAILER,
    TRAILER_BYTES, Trailer, entries_of,
};
use crate::write::Totals;

/// The latest millisecond of the timestamp of a backup. Later ones leave too few timestamps to the restored database, in the
/// year 4199; no engine hands these out.
const LATEST_MILLIS: u64 = (1 << 46) - 500_000;

/// A backup that is being read. Blocks come out in the order of their keys, each checked; only at the end is it known
/// that the backup is complete.
pub struct BackupReader<R> {
    input: R,
    header: Header,
    /// The header's checksum.
    seed: u64,
    /// How many bytes were read.
    at: u64,
    read: Trailer,
    sums: Xxh3,
    last_key: Option<Vec<u8>>,
    is_over: bool,
}

/// Reads a backup to its end, and says what it contains. All checksums and counts are checked; the rows themselves are
/// not.
///
/// # Errors
/// [`BackupError::Damaged`], [`BackupError::NewerFormat`], [`BackupError::Stream`].
pub async fn check<R: AsyncRead + Unpin + Send>(input: R) -> Result<Totals> {
    let mut reader = BackupReader::open(input).await?;
    while reader.next_block().await?.is_some() {}
    Ok(reader.totals())
}

impl<R: AsyncRead + Unpin + Send> BackupReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// Those of [`check`].
    pub async fn open(mut input: R) -> Result<Self> {
        let mut at = 0;
        let mut bytes = take(&mut input, &mut at, MAGIC.len() + 4, "the header of a backup").await?;
        if !bytes.starts_with(MAGIC) {
            let shown = KeyText::from(&bytes[..MAGIC.len()]);
            return Err(damaged(0, format!("{:?}, by which a backup begins", ascii(MAGIC)), format!("{shown:?}")));
        }
        let length = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        if length > MOST_HEADER_BYTES {
            return Err(damaged(8, format!("a header of at most {MOST_HEADER_BYTES} bytes"), format!("{length}")));
        }
        bytes.extend(take(&mut input, &mut at, length as usize, "the header").await?);
        let checksum = number(&take(&mut input, &mut at, CHECKSUM_BYTES, "the checksum of the header").await?);
        let seed = xxh3_64(&bytes);
        if checksum != seed {
            return Err(wrong_checksum(at - CHECKSUM_BYTES as u64, "the header", seed, checksum));
        }
        // The formats first: later ones may have other members.
        #[derive(serde::Deserialize)]
        struct Formats {
            format: u32,
            database_format: u32,
        }
        let json = &bytes[MAGIC.len() + 4..];
        let malformed = |error: serde_json::Error| damaged(12, "a header in JSON".to_string(), error.to_string());
        let formats: Formats = serde_json::from_slice(json).map_err(malformed)?;
        for (found, known) in [(formats.format, FORMAT), (formats.database_format, DatabaseIdentity::LATEST_FORMAT)] {
            if found > known {
                return Err(BackupError::NewerFormat { found, known });
            }
        }
        let header: Header = serde_json::from_slice(json).map_err(malformed)?;
        let millis = header.timestamp().physical_millis();
        if millis > LATEST_MILLIS {
            let expected = format!("a timestamp of at most {LATEST_MILLIS} ms, after which others can follow");
            return Err(damaged(12, expected, format!("{} of {millis} ms", header.timestamp)));
        }
        let sums = Xxh3::with_seed(seed);
        Ok(Self { input, header, seed, at, read: Trailer::default(), sums, last_key: None, is_over: false })
    }

    /// What the backup is of.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What was read so far.
    pub fn totals(&self) -> Totals {
        let Trailer { blocks, entries, bytes, .. } = self.read;
        Totals { header: self.header.clone(), entries, bytes, blocks }
    }

    /// The rows of the next block; `None` once the whole backup was read and nothing comes after it.
    ///
    /// # Errors
    /// Those of [`check`]. After an error nothing more can be read.
    pub async fn next_block(&mut self) -> Result<Option<Vec<KeyValue>>> {
        if self.is_over {
            return Ok(None);
        }
        let begins_at = self.at;
        let what = format!("block {} or the trailer", self.read.blocks + 1);
        let first = self.take(1, &what).await?;
        match first[0] {
            BLOCK => self.block(begins_at, first).await.map(Some),
            TRAILER => self.trailer(begins_at, first).await.map(|()| None),
            other => Err(damaged(begins_at, what, format!("the byte {other:#04x}"))),
        }
    }

    async fn block(&mut self, begins_at: u64, mut bytes: Vec<u8>) -> Result<Vec<KeyValue>> {
        let expected = self.read.blocks + 1;
        let what = format!("block {expected}");
        bytes.extend(self.take(HEAD_BYTES - 1, &what).await?);
        let Some(head) = BlockHead::decode(&bytes, self.seed) else {
            let found = "a head with another checksum: it was altered, or is of another backup";
            return Err(damaged(begins_at, what, found.to_string()));
        };
        if head.number != expected {
            return Err(damaged(begins_at, what, format!("block {}", head.number)));
        }
        if head.entries as usize > MOST_ENTRIES {
            let expected = format!("at most {MOST_ENTRIES} rows in {what}");
            return Err(damaged(begins_at, expected, head.entries.to_string()));
        }
        if head.length as usize > head.most_length() {
            let expected = format!("at most {} bytes of rows in {what}", head.most_length());
            return Err(damaged(begins_at, expected, head.length.to_string()));
        }
        bytes.extend(self.take(head.length as usize, &what).await?);
        let checksum = number(&self.take(CHECKSUM_BYTES, &what).await?);
        let computed = xxh3_64_with_seed(&bytes, self.seed);
        if checksum != computed {
            return Err(wrong_checksum(self.at - CHECKSUM_BYTES as u64, &what, computed, checksum));
        }
        let Some(entries) = entries_of(&bytes[HEAD_BYTES..], head.entries) else {
            return Err(damaged(begins_at, format!("{} rows in {what}", head.entries), "other bytes".to_string()));
        };
        for (key, value) in &entries {
            if self.last_key.as_ref().is_some_and(|last| last >= key) {
                let found = format!("the key {}", KeyText::from(key.as_slice()));
                return Err(damaged(begins_at, format!("keys in ascending order in {what}"), found));
            }
            self.read.bytes += (key.len() + value.len()) as u64;
            self.last_key = Some(key.clone());
        }
        self.read.blocks = expected;
        self.read.entries += entries.len() as u64;
        self.sums.update(&checksum.to_le_bytes());
        Ok(entries)
    }

    async fn trailer(&mut self, begins_at: u64, mut bytes: Vec<u8>) -> Result<()> {
        bytes.extend(self.take(TRAILER_BYTES - 1, "the trailer").await?);
        let Some(told) = Trailer::decode(&bytes, self.seed) else {
            let found = "one with another checksum: it was altered, or is of another backup";
            return Err(damaged(begins_at, "the trailer".to_string(), found.to_string()));
        };
        let read = Trailer { sum: self.sums.digest(), ..self.read };
        if told != read {
            return Err(damaged(begins_at, format!("a trailer that tells of {read:?}"), format!("{told:?}")));
        }
        let mut more = [0];
        let after = self.input.read(&mut more).await.map_err(BackupError::stream(READING))?;
        if after > 0 {
            return Err(damaged(self.at, "the end".to_string(), "more bytes".to_string()));
        }
        self.is_over = true;
        Ok(())
    }

    async fn take(&mut self, length: usize, what: &str) -> Result<Vec<u8>> {
        take(&mut self.input, &mut self.at, length, what).await
    }
}

impl<R> std::fmt::Debug for BackupReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackupReader").field("header", &self.header).field("at", &self.at).finish_non_exhaustive()
    }
}

const READING: &str = "reading the backup";

/// So many bytes. They are in memory as they come, whatever length was told.
async fn take<R>(input: &mut R, at: &mut u64, length: usize, what: &str) -> Result<Vec<u8>>
where
    R: AsyncRead + Unpin + Send,
{
    let mut bytes = Vec::with_capacity(length.min(1 << 20));
    input.take(length as u64).read_to_end(&mut bytes).await.map_err(BackupError::stream(READING))?;
    *at += bytes.len() as u64;
    if bytes.len() < length {
        let found = format!("the end of the backup, {} bytes too early", length - bytes.len());
        return Err(damaged(*at, what.to_string(), found));
    }
    Ok(bytes)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn ascii(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn damaged(at: u64, expected: String, found: String) -> BackupError {
    BackupError::Damaged { at, expected, found }
}

fn wrong_checksum(at: u64, of: &str, computed: u64, found: u64) -> BackupError {
    damaged(at, format!("the checksum of {of}, {computed:016x}"), format!("{found:016x}"))
}
