//! Fills an empty place with rows, so that it can be gone on with after a kill and is opened by nobody before it is whole.

use std::time::Duration;

use std::collections::BTreeMap;
use tito_core::engine::{Filling, KeyValue, Mutation, Mutations, Signals};
use tito_core::{Database, KeyText, Timestamp, TitoError};
use uuid::Uuid;

use crate::error::{BackupError, Result};
use crate::keys;
use crate::mark::Mark;
use crate::options::{OnProgress, Progress};
use crate::place::Place;

/// How many rows go into one transaction at most, and about how many bytes.
const BATCH_ENTRIES: usize = 4_096;
const BATCH_BYTES: usize = 2 << 20;

/// How often one transaction is tried where the cluster is not available or does not say what became of it.
const ATTEMPTS: u32 = 8;

/// What a place was filled with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filled {
    /// The id of the new database.
    pub database: Uuid,
    /// Rows that the source has.
    pub entries: u64,
    /// Rows that were left out: members, leases, marks of running processes, and checkpoints, which are about workers
    /// that are elsewhere.
    pub left_out: u64,
    /// Queues that were paused. [`resume`](crate::resume) finds them.
    pub paused_queues: u64,
    /// Schedules that were paused.
    pub paused_schedules: u64,
    /// Topics and schedules whose rows can't be read, and were copied as they are.
    pub unreadable: Vec<KeyText>,
    /// Rows of the source that an earlier attempt, which was cut off, had already processed.
    pub resumed_after: u64,
}

/// What becomes of one row of the source.
pub(crate) enum Row {
    AsItIs(Vec<u8>),
    Paused { value: Vec<u8>, queues: u64, schedules: u64 },
    LeftOut,
    Unreadable(Vec<u8>),
}

/// A place that is being filled.
pub(crate) struct Filler {
    target: Database,
    /// How far the target is.
    mark: Mark,
    /// How far the source was read.
    passed: Mark,
    /// Up to which key rows are in the target already, while these are passed over.
    skipped_to: Option<Vec<u8>>,
    batch: BTreeMap<Vec<u8>, Mutation>,
    batch_bytes: usize,
    filled: Filled,
    bytes: u64,
    on_progress: Option<OnProgress>,
}

impl Filler {
    pub(crate) async fn begin(
        place: &Place,
        mark: Mark,
        after: Timestamp,
        by: &'static str,
        on_progress: Option<OnProgress>,
    ) -> Result<Self> {
        let target = place.open_to_fill(&Filling::new(mark.encode()?, after)).await?;
        let begun = Self::resume(&target, &mark, by).await;
        let (stored, key) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                target.close().await;
                return Err(error);
            }
        };
        let filled = Filled {
            database: target.identity().map_or_else(Uuid::nil, |identity| identity.id),
            entries: 0,
            left_out: 0,
            paused_queues: 0,
            paused_schedules: 0,
            unreadable: Vec::new(),
            resumed_after: stored.entries,
        };
        Ok(Self {
            target,
            mark: stored,
            passed: mark,
            skipped_to: key,
            batch: BTreeMap::new(),
            batch_bytes: 0,
            filled,
            bytes: 0,
            on_progress,
        })
    }

    async fn resume(target: &Database, mark: &Mark, by: &'static str) -> Result<(Mark, Option<Vec<u8>>)> {
        let Some(bytes) = target.begin().await?.get(&keys::filling()).await? else {
            // Whoever opens it to be filled has seen one.
            return Err(BackupError::FilledTwice);
        };
        let stored = Mark::decode(&bytes)?;
        if !stored.has_source_of(mark) {
            return Err(BackupError::OtherSource { mark: String::from_utf8_lossy(&bytes).into_owned(), by });
        }
        let key = stored.key()?;
        Ok((stored, key))
    }

    /// Takes over some rows, in the order of their keys.
    pub(crate) async fn add(
        &mut self,
        rows: Vec<KeyValue>,
        change: impl Fn(&[u8], Vec<u8>) -> Row + Send,
    ) -> Result<()> {
        let mut last = None;
        for (key, value) in rows {
            self.passed.pass(&key, &value);
            self.bytes += (key.len() + value.len()) as u64;
            last = Some(key.clone());
            let row = change(&key, value);
            self.note(&key, &row);
            if self.is_there_already(&key)? {
                continue;
            }
            if let Some(value) = row.value() {
                self.batch_bytes += key.len() + value.len();
                self.batch.insert(key, Mutation { value: Some(value), must_be_new: false });
            }
            if self.batch.len() >= BATCH_ENTRIES || self.batch_bytes >= BATCH_BYTES {
                self.commit().await?;
            }
        }
        // A block is a transaction, unless it is large.
        self.commit().await?;
        if let Some((tell, key)) = self.on_progress.as_ref().zip(last) {
            let (entries, bytes) = (self.passed.entries, self.bytes);
            tell(&Progress { entries, bytes, key: KeyText::from(key) });
        }
        Ok(())
    }

    fn note(&mut self, key: &[u8], row: &Row) {
        match row {
            Row::AsItIs(_) => {}
            Row::LeftOut => self.filled.left_out += 1,
            Row::Paused { queues, schedules, .. } => {
                self.filled.paused_queues += queues;
                self.filled.paused_schedules += schedules;
            }
            Row::Unreadable(_) => {
                let key = KeyText::from(key);
                tracing::warn!(%key, "a row can't be read, so it could not be paused and is copied as it is");
                self.filled.unreadable.push(key);
            }
        }
    }

    /// Whether a row was dealt with by an earlier attempt; when the last of these comes, all of them have to be what they
    /// were.
    fn is_there_already(&mut self, key: &[u8]) -> Result<bool> {
        let Some(last) = &self.skipped_to else { return Ok(false) };
        let is_same = self.passed.hash == self.mark.hash && self.passed.entries == self.mark.entries;
        if key < last.as_slice() {
            return Ok(true);
        }
        if key != last.as_slice() || !is_same {
            return Err(BackupError::SourceChanged { key: KeyText::from(last.as_slice()) });
        }
        self.skipped_to = None;
        Ok(true)
    }

    /// The source is at its end: the target is whole.
    pub(crate) async fn finish(mut self) -> Result<Filled> {
        if let Some(last) = self.skipped_to.take() {
            return self.fail(BackupError::SourceChanged { key: KeyText::from(last) }).await;
        }
        let finished = async {
            self.commit().await?;
            let mut tries = Tries::default();
            loop {
                let tx = self.target.engine().begin(None).await?;
                match tx.get(&keys::filling()).await? {
                    // Committed before, and not told.
                    None if tries.count > 0 => return Ok(()),
                    Some(stored) if Mark::decode(&stored)? == self.mark => {}
                    _ => return Err(BackupError::FilledTwice),
                }
                let gone = Mutation { value: None, must_be_new: false };
                let writes = BTreeMap::from([(keys::filling(), gone)]);
                match tx.commit(Mutations { writes, locks: Vec::new(), bytes: 8 }, Signals::default()).await {
                    Ok(_) => return Ok(()),
                    Err(error) => tries.after(error, &self.target).await?,
                }
            }
        };
        match finished.await {
            Ok(()) => {
                self.target.close().await;
                Ok(Filled { entries: self.passed.entries, ..self.filled })
            }
            Err(error) => self.fail(error).await,
        }
    }

    /// Gives up. The target stays marked.
    pub(crate) async fn fail<T>(self, error: BackupError) -> Result<T> {
        self.target.close().await;
        Err(error)
    }

    /// Writes what was gathered, together with how far that is.
    async fn commit(&mut self) -> Result<()> {
        if self.skipped_to.is_some() || self.passed == self.mark {
            return Ok(());
        }
        let (before, after) = (self.mark.encode()?, self.passed.encode()?);
        let mut writes = std::mem::take(&mut self.batch);
        let bytes = std::mem::take(&mut self.batch_bytes) + after.len();
        writes.insert(keys::filling(), Mutation { value: Some(after.clone()), must_be_new: false });
        let mutations = Mutations { writes, locks: Vec::new(), bytes };
        let mut tries = Tries::default();
        loop {
            let tx = self.target.engine().begin(None).await?;
            let stored = tx.get(&keys::filling()).await?;
            if tries.count > 0 && stored.as_ref() == Some(&after) {
                break;
            }
            if stored.as_ref() != Some(&before) {
                return Err(BackupError::FilledTwice);
            }
            // Past the limits of the target's application: these were the source's.
            match tx.commit(mutations.clone(), Signals::default()).await {
                Ok(_) => break,
                Err(error) => tries.after(error, &self.target).await?,
            }
        }
        self.mark = self.passed.clone();
        Ok(())
    }
}

impl Row {
    fn value(self) -> Option<Vec<u8>> {
        match self {
            Self::AsItIs(value) | Self::Paused { value, .. } | Self::Unreadable(value) => Some(value),
            Self::LeftOut => None,
        }
    }
}

/// The attempts at one transaction. What became of one is seen by the mark, so each can be made again.
#[derive(Default)]
struct Tries {
    count: u32,
}

impl Tries {
    async fn after(&mut self, error: TitoError, target: &Database) -> Result<()> {
        self.count += 1;
        let can_help = matches!(error, TitoError::CommitUnknown { .. } | TitoError::Unavailable { .. });
        match error {
            TitoError::Conflict { .. } => Err(BackupError::FilledTwice),
            error if can_help && self.count < ATTEMPTS => {
                tracing::warn!(%error, attempt = self.count, "rows of a database that is being filled are written again");
                let pause = Duration::from_millis(50 << self.count).as_millis() as u64;
                target.clock().wait_until_monotonic(target.clock().monotonic_millis().saturating_add(pause)).await;
                Ok(())
            }
            error => Err(error.into()),
        }
    }
}
