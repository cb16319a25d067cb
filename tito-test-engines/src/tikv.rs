//! TiKV engines that leave nothing behind: on an in-process cluster, or on a real one.

use std::env;
use std::thread;

use tito_core::tikv::{TiKVBackend, TiKVBuilder};
use tito_core::{Database, Result, TitoError};
use tito_mock_tikv::MockCluster;

use crate::settings::{EngineSettings, REAL_CLUSTER};

/// Where the in-process cluster's regions begin, so that the data that tests write spans several of them: rows, index
/// entries and events are apart, as are the keys that the conformance suite uses.
const BOUNDARIES: [&str; 8] = ["b", "data:user:g", "event:", "event:job:0002", "index:", "k", "key-5", "row"];

const STORES: usize = 3;

/// An in-process TiKV cluster with 3 stores and several regions, and a Tito engine on it.
///
/// ```
/// # use tito_test_engines as tito_testkit;
/// use tito_core::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), TitoError> {
/// let database = tito_testkit::on_mock_cluster().await?;
/// let db = database.database().clone();
/// db.transaction(|tx| async move { tx.put(b"greeting".to_vec(), b"hello".to_vec()).await }).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`TitoError::Storage`] if the cluster finds no free ports, and those of [`TiKVBuilder::connect`].
pub async fn on_mock_cluster() -> Result<TemporaryCluster> {
    on_mock_cluster_with(EngineSettings::default()).await
}

/// Like [`on_mock_cluster`], with settings. A clock that the test moves by hand drives the cluster's timestamps.
///
/// # Errors
/// Those of [`on_mock_cluster`].
pub async fn on_mock_cluster_with(settings: EngineSettings) -> Result<TemporaryCluster> {
    let clock = settings.clock.clone();
    let cluster = MockCluster::builder()
        .stores(STORES)
        .split_at(BOUNDARIES)
        .split_default_keyspace(false)
        .clock(std::sync::Arc::new(move || clock.now_millis()))
        .start()
        .await
        .map_err(|source| TitoError::Storage { operation: "starting an in-process cluster", source: source.into() })?;
    let engine = builder(cluster.pd_endpoints(), settings).connect().await?;
    Ok(TemporaryCluster { engine, cluster })
}

/// An engine and the in-process cluster that it uses, which ends with this value.
#[derive(Debug)]
pub struct TemporaryCluster {
    engine: Database,
    cluster: MockCluster,
}

impl TemporaryCluster {
    /// The engine.
    pub fn database(&self) -> &Database {
        &self.engine
    }

    /// The cluster, for faults, splits, leader moves and call counts.
    pub fn cluster(&self) -> &MockCluster {
        &self.cluster
    }

    /// Closes the engine, whatever clones of it remain, and connects another one to the same cluster.
    ///
    /// # Errors
    /// Those of [`TiKVBuilder::connect`].
    pub async fn reconnect(self, settings: EngineSettings) -> Result<Self> {
        let Self { engine, cluster } = self;
        engine.close().await;
        let engine = builder(cluster.pd_endpoints(), settings).connect().await?;
        Ok(Self { engine, cluster })
    }
}

/// An engine on a real cluster, with all its keys under a prefix of its own, which are removed with this value.
#[derive(Debug)]
pub(crate) struct RealCluster {
    engine: Database,
    addresses: Vec<String>,
    prefix: String,
}

impl RealCluster {
    /// The addresses from the environment.
    pub(crate) fn addresses() -> Option<Vec<String>> {
        let addresses = env::var(REAL_CLUSTER).ok()?;
        Some(addresses.split(',').map(|address| address.trim().to_string()).collect())
    }

    pub(crate) async fn open(addresses: Vec<String>, settings: EngineSettings) -> Result<Self> {
        let prefix = format!("tito-test/{:016x}/", fastrand::u64(..));
        Self::under(addresses, prefix, settings).await
    }

    async fn under(addresses: Vec<String>, prefix: String, settings: EngineSettings) -> Result<Self> {
        let engine = builder(addresses.clone(), settings).key_prefix(prefix.clone()).connect().await?;
        Ok(Self { engine, addresses, prefix })
    }

    pub(crate) fn database(&self) -> &Database {
        &self.engine
    }

    pub(crate) async fn reconnect(mut self, settings: EngineSettings) -> Result<Self> {
        self.engine.close().await;
        let (addresses, prefix) = (std::mem::take(&mut self.addresses), self.prefix.clone());
        Self::under(addresses, prefix, settings).await
    }
}

impl Drop for RealCluster {
    fn drop(&mut self) {
        if self.addresses.is_empty() {
            return; // Handed on by `reconnect`.
        }
        let (addresses, prefix) = (self.addresses.clone(), self.prefix.clone());
        // A drop can't wait for a future on the runtime that it runs on.
        let cleaning = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let engine = TiKVBackend::builder(addresses).key_prefix(prefix).connect().await?;
                if let Some(tikv) = engine.backend::<TiKVBackend>() {
                    tikv.clear().await?;
                }
                engine.close().await;
                Ok::<_, tito_core::BoxError>(())
            })
        });
        if !matches!(cleaning.join(), Ok(Ok(()))) {
            tracing::warn!(prefix = self.prefix, "the keys of a test were left on the cluster");
        }
    }
}

fn builder(addresses: Vec<String>, settings: EngineSettings) -> TiKVBuilder {
    TiKVBackend::builder(addresses)
        .clock(settings.clock)
        .limits(settings.limits)
        .max_transaction_age(settings.max_transaction_age)
}
