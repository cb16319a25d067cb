//! An engine that reads and refuses to write.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::contract::{Direction, KeyValue, SnapshotVersion, TitoEngine, TitoSnapshot, TitoTransaction};
use super::identity::DatabaseIdentity;
use super::limits::Limits;
use super::mutations::Mutations;
use super::shared::Shared;
use super::signals::Signals;
use crate::clock::Clock;
use crate::error::{Result, TitoError};
use crate::keys::KeyRange;
use crate::timestamp::{Now, Timestamp};

/// Everything of an engine but commits that write.
pub(crate) struct ReadOnly(pub(crate) Arc<dyn TitoEngine>);

impl TitoEngine for ReadOnly {
    fn begin<'a>(
        &'a self,
        replayed: Option<&'a dyn TitoTransaction>,
    ) -> BoxFuture<'a, Result<Box<dyn TitoTransaction>>> {
        // None has locks to hand over, and the engine below knows its own transactions only.
        let _ = replayed;
        let begin = self.0.begin(None);
        begin.map(|begun| begun.map(|tx| Box::new(Reading(tx)) as Box<dyn TitoTransaction>)).boxed()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn TitoSnapshot>>> {
        self.0.snapshot()
    }

    fn timestamp(&self) -> BoxFuture<'_, Result<Timestamp>> {
        self.0.timestamp()
    }

    fn now(&self) -> BoxFuture<'_, Result<Now>> {
        self.0.now()
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        self.0.clock()
    }

    fn limits(&self) -> &Limits {
        self.0.limits()
    }

    fn max_transaction_age_millis(&self) -> u64 {
        self.0.max_transaction_age_millis()
    }

    fn is_only_writer(&self) -> bool {
        self.0.is_only_writer()
    }

    fn is_durable(&self) -> bool {
        self.0.is_durable()
    }

    fn oldest_live_start(&self) -> Option<Timestamp> {
        self.0.oldest_live_start()
    }

    fn identity(&self) -> Option<&DatabaseIdentity> {
        self.0.identity()
    }

    fn wrapped(&self) -> Option<&dyn TitoEngine> {
        Some(&*self.0)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.0.close()
    }

    fn closed(&self) -> BoxFuture<'_, TitoError> {
        self.0.closed()
    }

    fn shared(&self) -> &Shared {
        self.0.shared()
    }
}

struct Reading(Box<dyn TitoTransaction>);

impl TitoTransaction for Reading {
    fn start_timestamp(&self) -> Timestamp {
        self.0.start_timestamp()
    }

    fn now(&self) -> Now {
        self.0.now()
    }

    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Vec<u8>>>> {
        self.0.get(key)
    }

    fn batch_get(&self, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        self.0.batch_get(keys)
    }

    fn scan(&self, range: KeyRange, direction: Direction, limit: usize) -> BoxFuture<'_, Result<Vec<KeyValue>>> {
        self.0.scan(range, direction, limit)
    }

    fn version(&self) -> Option<SnapshotVersion> {
        self.0.version()
    }

    fn is_unchanged(&self, key: &[u8], since: SnapshotVersion) -> bool {
        self.0.is_unchanged(key, since)
    }

    fn commit(&self, mutations: Mutations, signals: Signals) -> BoxFuture<'_, Result<Timestamp>> {
        // Locks alone are for the sake of writes elsewhere, and there are none.
        let Some(key) = mutations.writes.into_keys().next() else {
            return self.0.commit(Mutations::default(), signals);
        };
        async move {
            self.0.rollback().await;
            Err(TitoError::ReadOnly { key: key.into() })
        }
        .boxed()
    }

    fn rollback(&self) -> BoxFuture<'_, ()> {
        self.0.rollback()
    }
}
