//! The TiKV engine for the suite.

use tito_core::{Database, Result};

use super::EngineUnderTest;
use crate::settings::EngineSettings;
use crate::tikv::{RealCluster, TemporaryCluster, on_mock_cluster_with};

/// The TiKV engine: on an in-process cluster with several stores and regions, or, if `TITO_TEST_PD` names the PD
/// addresses of a real cluster, on that cluster, under a key prefix of its own that is removed afterwards.
///
/// A real cluster's clock can't be moved: a fact that tries to is skipped there, and says so.
#[derive(Debug)]
pub struct OnTiKV(Cluster);

#[derive(Debug)]
enum Cluster {
    InProcess(TemporaryCluster),
    Real(RealCluster),
}

impl EngineUnderTest for OnTiKV {
    async fn open(settings: EngineSettings) -> Result<Self> {
        Ok(Self(match RealCluster::addresses() {
            Some(addresses) => Cluster::Real(RealCluster::open(addresses, settings.with_a_clock_that_runs()).await?),
            None => Cluster::InProcess(on_mock_cluster_with(settings).await?),
        }))
    }

    fn database(&self) -> Database {
        match &self.0 {
            Cluster::InProcess(database) => database.database().clone(),
            Cluster::Real(database) => database.database().clone(),
        }
    }

    async fn reopen(self, settings: EngineSettings) -> Result<Option<Self>> {
        Ok(Some(Self(match self.0 {
            Cluster::InProcess(database) => Cluster::InProcess(database.reconnect(settings).await?),
            Cluster::Real(database) => Cluster::Real(database.reconnect(settings.with_a_clock_that_runs()).await?),
        })))
    }
}
