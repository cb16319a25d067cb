//! What can go wrong when a test handles a cluster.
use std::net::SocketAddr;
use std::sync::Arc;

/// Why a cluster did not start or could not be changed as requested.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MockClusterError {
    /// Listening on a loopback port failed.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The requested address; port 0 means any free one.
        address: SocketAddr,
        /// The system's error.
        source: Arc<std::io::Error>,
    },
    /// The certificate or a key of the TLS settings was refused.
    #[error("the TLS settings are not usable: {0}")]
    Tls(#[source] Arc<tonic::transport::Error>),
    /// A cluster needs at least one store and one PD member.
    #[error("a cluster needs at least one {0}")]
    Empty(&'static str),
    /// No store has this number; [`stores`](crate::MockCluster::stores) lists them.
    #[error("there is no store {0}")]
    NoSuchStore(u64),
    /// No PD member has this number; they are numbered from 0.
    #[error("there is no PD member {0}")]
    NoSuchMember(usize),
    /// The store is stopped, so it cannot lead a region.
    #[error("store {0} is stopped")]
    StoreStopped(u64),
    /// A region already begins at this key.
    #[error("a region begins at {} already", key.escape_ascii())]
    AlreadySplit {
        /// The key as given.
        key: Vec<u8>,
    },
    /// The region that holds the key is the last one, so it has no right neighbour to merge with.
    #[error("the region of {} has no right neighbour", key.escape_ascii())]
    NoRightNeighbour {
        /// The key as given.
        key: Vec<u8>,
    },
}
