//! A cluster's settings, and how it starts.
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::cluster::MockCluster;
use crate::health::HealthService;
use crate::listener::Connections;
use crate::node::{Node, listen};
use crate::pd::{PdService, add_pages};
use crate::pd_state::{Clock, Oracle, PdState};
use crate::shared::{Settings, Shared};
use crate::tikv::StoreService;
use crate::topology::Topology;
use crate::transport::Transport;
use crate::{MockClusterError, TikvVersion, codec};
use tito_tikv_proto::health::health_server::HealthServer;
use tito_tikv_proto::keyspacepb::keyspace_server::KeyspaceServer;
use tito_tikv_proto::pdpb::pd_server::PdServer;
use tito_tikv_proto::tikvpb::tikv_server::TikvServer;

/// TiKV accepts messages of any size; this is far above its limit for one part of a transaction.
const DEFAULT_MESSAGE_SIZE: usize = 64 << 20;

/// The addresses of servers without sockets: a range reserved for examples, so nothing answers there.
const NOWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

impl MockCluster {
    /// The settings of a cluster. By default it has one store, one PD member and one region.
    pub fn builder() -> MockClusterBuilder {
        MockClusterBuilder::default()
    }
}

/// The settings of a [`MockCluster`].
#[must_use = "a cluster does not exist before `start`"]
pub struct MockClusterBuilder {
    stores: usize,
    pd_members: usize,
    boundaries: Vec<Vec<u8>>,
    clock: Clock,
    keyspaces: Vec<String>,
    tls: Option<ServerTlsConfig>,
    max_message_size: usize,
    settings: Settings,
    in_process: bool,
    seed: Option<u64>,
    store_port: u16,
    pd_port: u16,
    default_keyspace: bool,
}

impl Default for MockClusterBuilder {
    fn default() -> Self {
        MockClusterBuilder {
            stores: 1,
            pd_members: 1,
            boundaries: Vec::new(),
            clock: Arc::new(system_clock),
            keyspaces: Vec::new(),
            tls: None,
            max_message_size: DEFAULT_MESSAGE_SIZE,
            settings: Settings { version: TikvVersion::default(), in_memory_locks: true },
            in_process: false,
            seed: None,
            store_port: 0,
            pd_port: 0,
            default_keyspace: true,
        }
    }
}

fn system_clock() -> u64 {
    // A clock before the epoch counts as one at the epoch: timestamps grow by themselves.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

impl MockClusterBuilder {
    /// The number of stores, numbered from 1; one by default. Each listens on its own port.
    pub fn stores(mut self, stores: usize) -> Self {
        self.stores = stores;
        self
    }

    /// The keys at which regions begin, besides the first. By default, one region holds everything but the keyspace
    /// `DEFAULT`, whose keys are in regions of their own (see
    /// [`split_default_keyspace`](Self::split_default_keyspace)). The keys are transactional ones, and keys in a
    /// keyspace include its prefix. The stores take turns leading the regions.
    pub fn split_at<K: Into<Vec<u8>>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.boundaries.extend(keys.into_iter().map(|key| codec::encode(&key.into())));
        self
    }

    /// PD's clock, in milliseconds since the epoch; the system's clock by default. Timestamps increase even if the
    /// clock stands still or goes back.
    pub fn clock(mut self, clock: Arc<dyn Fn() -> u64 + Send + Sync>) -> Self {
        self.clock = clock;
        self
    }

    /// The names of keyspaces, numbered from 1; 0 is `DEFAULT`, which every cluster has. As PD does, this splits
    /// regions so that none holds keys of two keyspaces.
    pub fn keyspaces<K: Into<String>>(mut self, names: impl IntoIterator<Item = K>) -> Self {
        self.keyspaces.extend(names.into_iter().map(Into::into));
        self
    }

    /// The number of PD members, numbered from 0; one by default. The first leads.
    pub fn pd_members(mut self, members: usize) -> Self {
        self.pd_members = members;
        self
    }

    /// Uses TLS on every port, with this certificate and key, and requires clients to have a certificate from this
    /// authority. All are PEM. The certificate has to be valid for the address `127.0.0.1`.
    pub fn tls(mut self, certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>, client_ca: impl AsRef<[u8]>) -> Self {
        let identity = Identity::from_pem(certificate, key);
        self.tls = Some(ServerTlsConfig::new().identity(identity).client_ca_root(Certificate::from_pem(client_ca)));
        self
    }

    /// The largest message that servers accept or send, in bytes; 64 MiB by default. Larger ones fail with gRPC's
    /// OUT_OF_RANGE.
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.max_message_size = bytes;
        self
    }

    /// The seed of the cluster's number, by which clients tell clusters apart; a new one each time by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The port of the first store; the others use the ports after it. Any free ones by default.
    pub fn store_port(mut self, port: u16) -> Self {
        self.store_port = port;
        self
    }

    /// The port of PD's first member; the others use the ports after it. Any free ones by default.
    pub fn pd_port(mut self, port: u16) -> Self {
        self.pd_port = port;
        self
    }

    /// Whether regions are split at the boundaries of the keyspace `DEFAULT`, as PD does for a new cluster; they are by
    /// default. Keys outside keyspaces are then in different regions if they lie on different sides of `r` or `x`
    /// followed by three zero bytes.
    pub fn split_default_keyspace(mut self, split: bool) -> Self {
        self.default_keyspace = split;
        self
    }

    /// Starts without sockets: only [`MockCluster::connect`] reaches the cluster. Its addresses are not real.
    pub fn in_process(mut self) -> Self {
        self.in_process = true;
        self
    }

    /// The TiKV version whose rules apply and which servers report; the newest known one by default.
    pub fn version(mut self, version: TikvVersion) -> Self {
        self.settings.version = version;
        self
    }

    /// Whether only a region's leader knows its pessimistic locks, so that they are lost when it fails; true by
    /// default, as in TiKV (`pessimistic-txn.in-memory`).
    pub fn in_memory_pessimistic_locks(mut self, in_memory: bool) -> Self {
        self.settings.in_memory_locks = in_memory;
        self
    }

    /// Starts the cluster, which accepts calls when this returns.
    ///
    /// Must be called in a Tokio runtime with IO and time enabled; that runtime runs the servers.
    ///
    /// # Errors
    ///
    /// [`MockClusterError::Listen`] if no port is free, [`Tls`](MockClusterError::Tls) if the TLS settings are
    /// unusable, [`Empty`](MockClusterError::Empty) without a store or a PD member.
    pub async fn start(self) -> Result<MockCluster, MockClusterError> {
        for (count, what) in [(self.stores, "store"), (self.pd_members, "PD member")] {
            if count == 0 {
                return Err(MockClusterError::Empty(what));
            }
        }
        // Determine all addresses before telling them to anyone.
        let (stores, members) = if self.in_process {
            (listen_nowhere(20160, self.stores), listen_nowhere(2379, self.pd_members))
        } else {
            (listen_from(self.store_port, self.stores).await?, listen_from(self.pd_port, self.pd_members).await?)
        };

        let mut topology = Topology::new(&addresses(&stores), self.settings.version);
        for boundary in
            self.boundaries.into_iter().chain(keyspace_boundaries(self.default_keyspace, self.keyspaces.len()))
        {
            topology.split_at(boundary);
        }
        topology.spread_leaders();
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let urls = addresses(&members).iter().map(|address| format!("{scheme}://{address}")).collect();
        let pd =
            PdState::new(urls, self.keyspaces, self.settings.version, self.seed.unwrap_or_else(|| fastrand::u64(..)));
        let shared = Arc::new(Shared::new(self.settings, topology, Oracle::new(self.clock), pd));

        let transport = if self.in_process { Transport::InProcess } else { Transport::Sockets { tls: self.tls } };
        let node = |(address, listener): Bound, make: &dyn Fn(Arc<Connections>) -> Routes| {
            let connections = Arc::<Connections>::default();
            let routes = make(connections.clone());
            (Arc::new(Node::new(address, connections, routes, transport.clone())), listener)
        };
        let size = self.max_message_size;
        let store = |id, bound| {
            node(bound, &|connections| store_routes(StoreService::new(shared.clone(), id, connections), size))
        };
        let member =
            |index, bound| node(bound, &|connections| pd_routes(PdService::new(shared.clone(), index, connections)));
        let stores = (1..).zip(stores).map(|(id, bound)| store(id, bound)).collect();
        let members = (0..).zip(members).map(|(index, bound)| member(index, bound)).collect();
        MockCluster::of(shared, stores, members)
    }
}

/// Where keyspaces begin and end, for raw and transactional keys (`MakeRegionBound` in `pkg/keyspace/util.go` of
/// tikv/pd): the keyspace 0, and the `others` from 1 on.
fn keyspace_boundaries(default: bool, others: usize) -> impl Iterator<Item = Vec<u8>> {
    let others = if others == 0 { 1..1 } else { 1..others as u32 + 2 };
    let ids = (if default { 0..2 } else { 0..0 }).chain(others);
    ids.flat_map(|id| [b'r', b'x'].map(|mode| codec::encode(&keyspace_prefix(mode, id))))
}

/// The prefix of a keyspace's keys: the kind of calls, and the keyspace's number in three bytes.
fn keyspace_prefix(mode: u8, id: u32) -> [u8; 4] {
    let [_, high, middle, low] = id.to_be_bytes();
    [mode, high, middle, low]
}

/// A listener, if there is one, and its address.
type Bound = (SocketAddr, Option<TcpListener>);

/// Listens on consecutive ports of the loopback address, or on any free ones if `first` is 0.
async fn listen_from(first: u16, count: usize) -> Result<Vec<Bound>, MockClusterError> {
    let mut bound = Vec::with_capacity(count);
    for index in 0..count {
        let offset = u16::try_from(index).unwrap_or(u16::MAX);
        let port = if first == 0 { 0 } else { first.saturating_add(offset) };
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = listen(wanted).await?;
        let address = listener
            .local_addr()
            .map_err(|source| MockClusterError::Listen { address: wanted, source: source.into() })?;
        bound.push((address, Some(listener)));
    }
    Ok(bound)
}

/// Addresses without listeners; `first` is the first port.
fn listen_nowhere(first: u16, count: usize) -> Vec<Bound> {
    (first..).take(count).map(|port| (SocketAddr::from((NOWHERE, port)), None)).collect()
}

fn addresses(bound: &[Bound]) -> Vec<SocketAddr> {
    bound.iter().map(|(address, _)| *address).collect()
}

fn store_routes(service: StoreService, max_message_size: usize) -> Routes {
    let service = TikvServer::new(service)
        .max_decoding_message_size(max_message_size)
        .max_encoding_message_size(max_message_size);
    Routes::new(service).add_service(HealthServer::new(HealthService(&["tikvpb.Tikv"]))).prepare()
}

fn pd_routes(service: PdService) -> Routes {
    let shared = service.shared();
    let mut routes = Routes::new(PdServer::new(service.clone()))
        .add_service(KeyspaceServer::new(service))
        .add_service(HealthServer::new(HealthService(&["pdpb.PD", "keyspacepb.Keyspace"])));
    let router = std::mem::take(routes.axum_router_mut());
    *routes.axum_router_mut() = add_pages(router, shared);
    routes.prepare()
}
