//! An in-process TiKV cluster with its PD, for tests.
//!
//! A [`MockCluster`] speaks TiKV's gRPC protocol on loopback ports, so an unmodified client such as `tikv-client`
//! connects to it as to a real cluster: tests exercise the whole client on a machine without one. Regions split, merge
//! and move under load, calls fail where a test says so, and a test can control the clock.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! use tito_mock_tikv::MockCluster;
//! use tito_tikv::Client;
//!
//! let cluster = MockCluster::builder().stores(3).split_at(["g", "p"]).start().await?;
//! let client = Client::builder(cluster.pd_endpoints()).connect().await?;
//!
//! let mut transaction = client.begin().await?;
//! transaction.put("apple", "red");
//! transaction.put("plum", "blue");
//! transaction.commit().await.committed()?;
//!
//! cluster.split("banana")?;
//! assert_eq!(client.begin().await?.get("plum").await?, Some(b"blue".to_vec()));
//!
//! cluster.shutdown().await;
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! The transaction rules follow TiKV's sources. This crate's `RULES.md` lists each rule with the version that
//! introduced it and the test that shows it, and what is left out. [`MockClusterBuilder::version`] selects the version.
//!
//! To inject faults, give [`FaultRule`]s to [`MockCluster::faults`]. To count the calls that an operation costs,
//! subtract two results of [`MockCluster::calls`]. [`MockCluster::connect`] works without sockets.

mod builder;
mod cluster;
mod codec;
mod counts;
mod error;
mod faults;
mod health;
mod in_process;
mod listener;
mod lock;
mod node;
mod pd;
mod pd_state;
mod range;
mod rpc;
mod shared;
mod storage;
mod tasks;
mod tikv;
mod topology;
mod transport;
mod version;

pub use builder::MockClusterBuilder;
pub use cluster::MockCluster;
pub use counts::CallCounts;
pub use error::MockClusterError;
pub use faults::{Fault, FaultRule, Faults, InjectedFaults, RuleId};
pub use in_process::InProcess;
pub use lock::{LockDescription, LockKind};
pub use rpc::Rpc;
pub use storage::Sizes;
pub use topology::{RegionDescription, ShuffleStep, StoreDescription};
pub use version::TikvVersion;
