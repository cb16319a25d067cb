//! The cluster as tests handle it.
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::future::join_all;
use tokio::net::TcpListener;

use crate::node::Node;
use crate::range::RegionRange;
use crate::shared::Shared;
use crate::storage::{Sizes, Storage};
use crate::topology::KeyForm;
use crate::{
    CallCounts, Faults, InProcess, LockDescription, MockClusterError, RegionDescription, ShuffleStep, StoreDescription,
};

/// A TiKV cluster in this process: stores and PD, each a gRPC server on a loopback port.
///
/// Clones are handles to the same cluster. It ends with [`shutdown`](Self::shutdown), or when the last handle is
/// dropped, which closes its ports and cuts its connections without waiting for its servers to end.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// use tito_mock_tikv::{Fault, FaultRule, MockCluster, Rpc};
///
/// let cluster = MockCluster::builder().stores(2).split_at(["m"]).start().await?;
/// assert_eq!(cluster.regions()[1].start_key, b"m");
/// cluster.transfer_leader("m", 1)?;
/// cluster.faults().add(FaultRule::on(Rpc::KvCommit, Fault::DropResponse).nth(1));
/// # cluster.shutdown().await;
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Clone)]
pub struct MockCluster(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    /// The index is the store's number minus one.
    stores: Vec<Arc<Node>>,
    members: Vec<Arc<Node>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.tasks.abort();
        for node in self.stores.iter().chain(&self.members) {
            node.abandon();
        }
    }
}

impl fmt::Debug for MockCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockCluster").field("pd", &self.pd_endpoints()).field("stores", &self.stores()).finish()
    }
}

impl MockCluster {
    pub(crate) fn of(
        shared: Arc<Shared>,
        stores: Vec<(Arc<Node>, Option<TcpListener>)>,
        members: Vec<(Arc<Node>, Option<TcpListener>)>,
    ) -> Result<Self, MockClusterError> {
        let serve = |nodes: Vec<(Arc<Node>, Option<TcpListener>)>| -> Result<Vec<Arc<Node>>, MockClusterError> {
            nodes.into_iter().map(|(node, listener)| node.serve(listener).map(|()| node)).collect()
        };
        let (stores, members) = (serve(stores)?, serve(members)?);
        Ok(MockCluster(Arc::new(Inner { shared, stores, members })))
    }

    /// The addresses of PD's members as `host:port`, which is what clients connect to.
    pub fn pd_endpoints(&self) -> Vec<String> {
        self.0.members.iter().map(|member| member.address().to_string()).collect()
    }

    /// The server at an address that PD, a store or [`pd_endpoints`](Self::pd_endpoints) gave, to be called within the
    /// process; `None` if there is none. Faults strike such calls just as they strike calls over sockets.
    pub fn connect(&self, address: &str) -> Option<InProcess> {
        let address = address.trim_start_matches("http://").trim_start_matches("https://").trim_end_matches('/');
        let mut nodes = self.0.stores.iter().chain(&self.0.members);
        nodes.find(|node| node.address().to_string() == address).map(|node| InProcess::new(node.clone()))
    }

    /// The number by which PD's clients tell clusters apart.
    pub fn cluster_id(&self) -> u64 {
        self.0.shared.pd.cluster_id
    }

    /// Closes all ports, cuts all connections and waits until the servers have ended.
    pub async fn shutdown(&self) {
        self.0.shared.tasks.abort();
        join_all(self.0.stores.iter().chain(&self.0.members).map(|node| node.stop())).await;
    }

    /// The fault rules.
    pub fn faults(&self) -> &Faults {
        &self.0.shared.faults
    }

    /// How often each call has been made so far.
    pub fn calls(&self) -> CallCounts {
        self.0.shared.counters.read()
    }

    /// The locks that transactions hold now, in key order.
    pub fn locks(&self) -> Vec<LockDescription> {
        self.0.shared.storage.locks().into_iter().map(Into::into).collect()
    }

    /// How many transactional records exist now.
    pub fn sizes(&self) -> Sizes {
        self.0.shared.storage.sizes()
    }

    /// A new timestamp, greater than all before it and less than all after it.
    pub fn timestamp(&self) -> u64 {
        // Only an empty or oversized batch gives `None`, and one timestamp is neither.
        self.0.shared.oracle.next(1).map_or(0, |timestamp| timestamp.version())
    }

    /// Makes PD's clock jump by this many milliseconds, permanently. A jump back has no effect on timestamps until the
    /// clock has caught up, since they never go back.
    pub fn jump_clock(&self, millis: i64) {
        self.0.shared.oracle.jump(millis);
    }
}

/// Regions.
impl MockCluster {
    /// The regions, in key order.
    pub fn regions(&self) -> Vec<RegionDescription> {
        self.0.shared.topology().describe_regions()
    }

    /// Splits a region so that one begins at this transactional key. A key in a keyspace includes its prefix.
    ///
    /// # Errors
    ///
    /// [`MockClusterError::AlreadySplit`] if one already begins there.
    pub fn split(&self, key: impl Into<Vec<u8>>) -> Result<(), MockClusterError> {
        self.split_in_form(key.into(), KeyForm::Encoded)
    }

    /// Like [`split`](Self::split), but at a raw key outside keyspaces, which becomes the boundary as it is.
    /// Transactional clients can't read such a boundary, so use this only for clusters that serve raw calls alone.
    ///
    /// # Errors
    ///
    /// [`MockClusterError::AlreadySplit`] if a region already begins there.
    pub fn split_raw(&self, key: impl Into<Vec<u8>>) -> Result<(), MockClusterError> {
        self.split_in_form(key.into(), KeyForm::Plain)
    }

    fn split_in_form(&self, key: Vec<u8>, form: KeyForm) -> Result<(), MockClusterError> {
        let split = self.0.shared.topology_mut().split_at(form.to_boundary(&key));
        if split { Ok(()) } else { Err(MockClusterError::AlreadySplit { key }) }
    }

    /// Merges the region that holds a transactional key with its right neighbour. The region keeps its number and
    /// leader.
    ///
    /// # Errors
    ///
    /// [`MockClusterError::NoRightNeighbour`] if it is the last one.
    pub fn merge(&self, key: impl Into<Vec<u8>>) -> Result<(), MockClusterError> {
        let key = key.into();
        let mut topology = self.0.shared.topology_mut();
        let region = topology.region_of(&KeyForm::Encoded.to_boundary(&key)).map(|region| region.id);
        match region.and_then(|id| topology.merge(id)) {
            Some(()) => Ok(()),
            None => Err(MockClusterError::NoRightNeighbour { key }),
        }
    }

    /// Makes a store lead the region that holds a transactional key. The old leader hands over properly: pessimistic
    /// locks that only it had are kept.
    ///
    /// # Errors
    ///
    /// [`MockClusterError::NoSuchStore`], or [`StoreStopped`](MockClusterError::StoreStopped).
    pub fn transfer_leader(&self, key: impl Into<Vec<u8>>, store_id: u64) -> Result<(), MockClusterError> {
        self.lead_by(key.into(), store_id, Storage::replicate_locks)
    }

    /// Makes a store lead the region that holds a transactional key, as if the old leader had failed: pessimistic locks
    /// that only it had are lost.
    ///
    /// # Errors
    ///
    /// [`MockClusterError::NoSuchStore`], or [`StoreStopped`](MockClusterError::StoreStopped).
    pub fn elect_leader(&self, key: impl Into<Vec<u8>>, store_id: u64) -> Result<(), MockClusterError> {
        self.lead_by(key.into(), store_id, Storage::lose_locks_in_memory)
    }

    fn lead_by(
        &self,
        key: Vec<u8>,
        store_id: u64,
        hand_over: fn(&Storage, &RegionRange),
    ) -> Result<(), MockClusterError> {
        let mut topology = self.0.shared.topology_mut();
        let region = topology.region_of(&KeyForm::Encoded.to_boundary(&key));
        let Some((id, range)) = region.map(|region| (region.id, region.range.clone())) else { return Ok(()) };
        topology.transfer_leader(id, store_id)?;
        hand_over(&self.0.shared.storage, &range);
        Ok(())
    }

    /// Whether new leaders refrain from asking PD for the time. A store that has not asked yet answers async-commit and
    /// one-phase prewrites with MaxTimestampNotSynced, since it can't know what was read from the previous leader.
    /// Otherwise, stores ask at the first request, if PD answers then.
    pub fn hold_max_ts(&self, held: bool) {
        self.0.shared.max_ts_held.store(held, Ordering::Release);
    }

    /// One random split, merge or leader move, as a balancer makes under load. It splits at keys that recent
    /// transactional calls used, so that splits divide data in use; those keys depend on the load.
    pub fn shuffle(&self, random: &mut fastrand::Rng) -> ShuffleStep {
        let keys = self.0.shared.recent_keys();
        let mut topology = self.0.shared.topology_mut();
        let step = topology.shuffle(random, &keys);
        if let ShuffleStep::TransferLeader { region, .. } = &step
            && let Some(region) = topology.region(*region)
        {
            self.0.shared.storage.replicate_locks(&region.range);
        }
        step
    }
}

/// Stores.
impl MockCluster {
    /// The stores, in number order.
    pub fn stores(&self) -> Vec<StoreDescription> {
        self.0.shared.topology().describe_stores()
    }

    /// Stops a store: its port is closed and its connections are cut. The running stores take over the regions that it
    /// led; if none are running, the regions wait for it. No data is lost, except pessimistic locks that only this
    /// store had.
    ///
    /// # Errors
    ///
    /// [`MockClusterError::NoSuchStore`].
    pub async fn stop_store(&self, id: u64) -> Result<(), MockClusterError> {
        self.stop_store_node(id, true).await
    }

    /// Like [`stop_store`](Self::stop_store), but the store remains the leader of its regions, which are unavailable
    /// until it is back.
    ///
    /// # Errors
    ///
    /// [`MockClusterError::NoSuchStore`].
    pub async fn stop_store_with_its_regions(&self, id: u64) -> Result<(), MockClusterError> {
        self.stop_store_node(id, false).await
    }

    async fn stop_store_node(&self, id: u64, move_leaders: bool) -> Result<(), MockClusterError> {
        let node = self.store_node(id)?;
        {
            let mut topology = self.0.shared.topology_mut();
            topology.set_running(id, false);
            if move_leaders {
                for range in topology.move_leaders_off(id) {
                    self.0.shared.storage.lose_locks_in_memory(&range);
                }
            }
        }
        node.stop().await;
        Ok(())
    }

    /// Starts a stopped store on its previous port. It leads the regions that it still has, and gets others through
    /// [`transfer_leader`](Self::transfer_leader) or [`shuffle`](Self::shuffle).
    ///
    /// # Errors
    ///
    /// [`MockClusterError::NoSuchStore`], or [`Listen`](MockClusterError::Listen) if the port has been taken.
    pub async fn start_store(&self, id: u64) -> Result<(), MockClusterError> {
        self.store_node(id)?.start().await?;
        let mut topology = self.0.shared.topology_mut();
        // The store forgets what was read from it before.
        self.0.shared.storage.forget_reads(id);
        topology.unsync_led_by(id);
        for region in topology.regions_from(b"").filter(|region| region.leader == id) {
            self.0.shared.storage.lose_locks_in_memory(&region.range);
        }
        topology.set_running(id, true);
        Ok(())
    }

    fn store_node(&self, id: u64) -> Result<&Arc<Node>, MockClusterError> {
        let index = usize::try_from(id).ok().and_then(|id| id.checked_sub(1));
        index.and_then(|index| self.0.stores.get(index)).ok_or(MockClusterError::NoSuchStore(id))
    }
}

/// PD.
impl MockCluster {
    /// Stops all PD members: their ports are closed and their connections are cut.
    pub async fn stop_pd(&self) {
        join_all(self.0.members.iter().map(|node| node.stop())).await;
    }

    /// Starts the stopped PD members on their previous ports.
    ///
    /// # Errors
    ///
    /// [`MockClusterError::Listen`] if a port has been taken.
    pub async fn start_pd(&self) -> Result<(), MockClusterError> {
        join_all(self.0.members.iter().map(|node| node.start())).await.into_iter().collect()
    }

    /// Stops one PD member. If it was the leader, make another one the leader with
    /// [`move_pd_leader`](Self::move_pd_leader).
    ///
    /// # Errors
    ///
    /// [`MockClusterError::NoSuchMember`].
    pub async fn stop_pd_member(&self, member: usize) -> Result<(), MockClusterError> {
        let node = self.0.members.get(member).ok_or(MockClusterError::NoSuchMember(member))?;
        self.0.shared.pd.leader.send_if_modified(|leader| {
            let led = *leader == Some(member);
            if led {
                *leader = None;
            }
            led
        });
        node.stop().await;
        Ok(())
    }

    /// The PD member that leads.
    pub fn pd_leader(&self) -> Option<usize> {
        *self.0.shared.pd.leader.borrow()
    }

    /// Leaves PD without a leader: members still list each other, everything else fails with gRPC's UNAVAILABLE, and
    /// timestamp streams end.
    pub fn remove_pd_leader(&self) {
        self.0.shared.pd.leader.send_replace(None);
    }

    /// Makes PD's first member the leader if there is none.
    pub fn restore_pd_leader(&self) {
        self.0.shared.pd.leader.send_if_modified(|leader| {
            let was_missing = leader.is_none();
            leader.get_or_insert(0);
            was_missing
        });
    }

    /// Makes another PD member the leader. The old leader's timestamp streams end.
    ///
    /// # Errors
    ///
    /// [`MockClusterError::NoSuchMember`].
    pub fn move_pd_leader(&self, member: usize) -> Result<(), MockClusterError> {
        if member >= self.0.shared.pd.members() {
            return Err(MockClusterError::NoSuchMember(member));
        }
        self.0.shared.pd.leader.send_replace(Some(member));
        Ok(())
    }

    /// Whether timestamp streams stay open without answers. Requests made in the meantime are answered once this is
    /// switched off.
    pub fn freeze_timestamps(&self, frozen: bool) {
        self.0.shared.pd.frozen.send_replace(frozen);
    }
}
