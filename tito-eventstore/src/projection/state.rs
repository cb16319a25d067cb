//! What is stored of a projection.

use serde::{Deserialize, Serialize};
use tito_core::row::{self, StoredRow, UnknownMembers};
use tito_core::{Result, Transaction, keeps_unknown_members};

use crate::keys;

/// The generations of a projection. Written when they change only, as everybody reads it who reads the rows.
/// `docs/format.md` specifies it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Generations {
    /// The last number that a generation got.
    pub(super) last: u64,
    /// The one that serves; none once the projection was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) live: Option<u64>,
    /// The one that is to take its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rebuilding: Option<u64>,
    /// Those of which there may be keys left that nobody needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) dropped: Vec<u64>,
    #[serde(skip)]
    unknown: UnknownMembers,
}

impl StoredRow for Generations {
    const EXPECTED: &'static str = "the generations of a projection";
}

impl Generations {
    /// The number of a generation that never was.
    pub(super) fn next(&mut self) -> u64 {
        self.last = self.last.saturating_add(1);
        self.last
    }

    pub(super) async fn read(tx: &Transaction, store: u64, projection: &str) -> Result<Option<Self>> {
        let key = keys::log_projection(store, projection);
        tx.get(&key).await?.map(|value| Self::decode(&key, &value)).transpose()
    }

    pub(super) async fn write(&self, tx: &Transaction, store: u64, projection: &str) -> Result<()> {
        tx.system_keys().put(keys::log_projection(store, projection), self.encode()?).await
    }

    /// Takes a generation out of service. A transaction that is folding into it meets a conflict.
    pub(super) async fn drop_one(
        &mut self,
        tx: &Transaction,
        (store, projection): (u64, &str),
        generation: u64,
    ) -> Result<()> {
        self.dropped.push(generation);
        tx.system_keys().delete(keys::log_view_checkpoint(store, projection, generation)).await
    }
}

/// How far a generation is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// All selected events up to this sequence were folded.
    pub(super) sequence: u64,
    /// What keeps it from going on.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "row::nested")]
    pub(super) failure: Option<Failure>,
    #[serde(skip)]
    unknown: UnknownMembers,
}

impl StoredRow for Checkpoint {
    const EXPECTED: &'static str = "the checkpoint of a projection";
}

/// Why an event could not be folded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) sequence: u64,
    pub(super) error: String,
    #[serde(skip)]
    unknown: UnknownMembers,
}

keeps_unknown_members!(Generations, Checkpoint, Failure);

impl Failure {
    pub(super) fn new(sequence: u64, error: String) -> Self {
        Self { sequence, error, unknown: UnknownMembers::default() }
    }

    /// Whether it is the same event for the same reason.
    pub(super) fn is(&self, other: &Self) -> bool {
        (self.sequence, &self.error) == (other.sequence, &other.error)
    }
}

impl Checkpoint {
    /// That of a generation into which nothing was folded yet is not stored.
    /// The same, when all events up to a sequence were folded.
    pub(super) fn reached(self, sequence: u64) -> Self {
        Self { sequence, failure: None, ..self }
    }

    /// The same, when it can't go on.
    pub(super) fn stopped(self, failure: Failure) -> Self {
        Self { failure: Some(failure), ..self }
    }

    fn of(key: &[u8], value: Option<&[u8]>) -> Result<Self> {
        value.map_or(Ok(Self::default()), |value| Self::decode(key, value))
    }

    pub(super) async fn read(
        tx: &Transaction,
        (store, projection): (u64, &str),
        generations: [Option<u64>; 2],
    ) -> Result<[Option<Self>; 2]> {
        let key = |generation| keys::log_view_checkpoint(store, projection, generation);
        let keys: Vec<_> = generations.iter().flatten().map(|generation| key(*generation)).collect();
        let mut values = keys.iter().zip(tx.batch_get(keys.clone()).await?);
        let mut next = || values.next().map(|(key, value)| Self::of(key, value.as_deref())).transpose();
        let [first, second] = generations;
        Ok([if first.is_some() { next()? } else { None }, if second.is_some() { next()? } else { None }])
    }

    pub(super) async fn write(
        &self,
        tx: &Transaction,
        (store, projection): (u64, &str),
        generation: u64,
    ) -> Result<()> {
        tx.system_keys().put(keys::log_view_checkpoint(store, projection, generation), self.encode()?).await
    }
}
