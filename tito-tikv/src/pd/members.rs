//! PD's members, and which of them leads.
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tito_tikv_proto::pdpb;
use tokio::time::timeout;

use super::client;
use crate::PdFailure;
use crate::transport::{Connection, Transport};

/// How long the other addresses have to contradict the first that answers.
const MOMENT: Duration = Duration::from_millis(500);

/// PD's members as they are known.
pub(super) struct Members {
    transport: Arc<dyn Transport>,
    limit: Duration,
    cluster_id: AtomicU64,
    known: Mutex<Known>,
    /// Whoever looks for the leader; the others wait for what comes of that.
    looking: tokio::sync::Mutex<()>,
}

struct Known {
    addresses: Vec<String>,
    leader: Option<(String, Connection)>,
}

/// An error in the header, or another cluster's number there.
pub(super) fn check_cluster(header: Option<&pdpb::ResponseHeader>, expected: u64) -> Result<(), PdFailure> {
    let Some(header) = header else { return Err(PdFailure::Answer("there is no header".to_owned())) };
    if expected != 0 && header.cluster_id != expected {
        return Err(PdFailure::OtherCluster { expected, found: header.cluster_id });
    }
    match &header.error {
        Some(error) if error.r#type() == pdpb::ErrorType::EntryNotFound => {
            Err(PdFailure::NotFound(error.message.clone()))
        }
        Some(error) if error.r#type() != pdpb::ErrorType::Ok => {
            Err(PdFailure::Answer(format!("{:?}: {}", error.r#type(), error.message)))
        }
        _ => Ok(()),
    }
}

impl Members {
    pub(super) fn new(transport: Arc<dyn Transport>, addresses: Vec<String>, limit: Duration) -> Self {
        Members {
            transport,
            limit,
            cluster_id: AtomicU64::new(0),
            known: Mutex::new(Known { addresses, leader: None }),
            looking: tokio::sync::Mutex::new(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cluster's number; 0 before a member has told it.
    pub(super) fn cluster_id(&self) -> u64 {
        self.cluster_id.load(Ordering::Relaxed)
    }

    pub(super) fn header(&self) -> Option<pdpb::RequestHeader> {
        Some(pdpb::RequestHeader { cluster_id: self.cluster_id(), ..pdpb::RequestHeader::default() })
    }

    /// The member at this address is not taken for the leader any more.
    pub(super) fn lose(&self, address: &str) {
        let mut known = self.lock();
        if known.leader.as_ref().is_some_and(|(leader, _)| leader == address) {
            known.leader = None;
        }
    }

    /// The leader, which is looked for if it is not known.
    pub(super) async fn leader(&self) -> Result<(String, Connection), PdFailure> {
        if let Some(leader) = self.lock().leader.clone() {
            return Ok(leader);
        }
        let _looking = self.looking.lock().await;
        if let Some(leader) = self.lock().leader.clone() {
            return Ok(leader);
        }
        let (addresses, is_first) = (self.lock().addresses.clone(), self.cluster_id() == 0);
        let mut asked: FuturesUnordered<_> = addresses.iter().map(|address| self.ask(address)).collect();
        let mut failed = PdFailure::NoLeader;
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(members) => match self.take_over(members).await {
                    Ok(leader) => {
                        self.check_others(asked, is_first).await?;
                        return Ok(leader);
                    }
                    Err(failure) => failed = failure,
                },
                Err(failure @ PdFailure::OtherCluster { .. }) => return Err(failure),
                Err(failure) => failed = failure,
            }
        }
        Err(failed)
    }

    /// When a client is made, the other addresses that it was given have a moment to say that they are another cluster's.
    /// What they say later is checked as it comes.
    async fn check_others(
        &self,
        mut asked: FuturesUnordered<impl Future<Output = Result<pdpb::GetMembersResponse, PdFailure>>>,
        is_first: bool,
    ) -> Result<(), PdFailure> {
        let others = async {
            while let Some(answer) = asked.next().await {
                // One that came before the cluster's number was known is checked again.
                let checked = answer.and_then(|members| check_cluster(members.header.as_ref(), self.cluster_id()));
                if let Err(failure @ PdFailure::OtherCluster { .. }) = checked {
                    self.lock().leader = None;
                    return Err(failure);
                }
            }
            Ok(())
        };
        if is_first { timeout(MOMENT, others).await.unwrap_or(Ok(())) } else { Ok(()) }
    }

    /// Asks one member for all of them.
    async fn ask(&self, address: &str) -> Result<pdpb::GetMembersResponse, PdFailure> {
        let asked = async {
            let connection = self.connect(address).await?;
            let request = pdpb::GetMembersRequest { header: self.header(), ..Default::default() };
            client(connection)
                .get_members(request)
                .await
                .map_err(|source| PdFailure::Call { address: address.to_owned(), source: Arc::new(source) })
        };
        let late = |_| PdFailure::Timeout { millis: self.limit.as_millis() as u64 };
        let members = timeout(self.limit, asked).await.map_err(late)??.into_inner();
        check_cluster(members.header.as_ref(), self.cluster_id())?;
        Ok(members)
    }

    async fn take_over(&self, members: pdpb::GetMembersResponse) -> Result<(String, Connection), PdFailure> {
        if let Some(header) = &members.header {
            self.cluster_id.store(header.cluster_id, Ordering::Relaxed);
        }
        let addresses: Vec<String> =
            members.members.iter().flat_map(|member| member.client_urls.iter().cloned()).collect();
        if !addresses.is_empty() {
            self.lock().addresses = addresses;
        }
        let mut failed = PdFailure::NoLeader;
        for address in members.leader.map(|leader| leader.client_urls).unwrap_or_default() {
            match timeout(self.limit, self.connect(&address)).await {
                Ok(Ok(connection)) => {
                    let leader = (address, connection);
                    self.lock().leader = Some(leader.clone());
                    return Ok(leader);
                }
                Ok(Err(failure)) => failed = failure,
                Err(_) => failed = PdFailure::Timeout { millis: self.limit.as_millis() as u64 },
            }
        }
        Err(failed)
    }

    async fn connect(&self, address: &str) -> Result<Connection, PdFailure> {
        let connected = self.transport.connect(address).await;
        connected.map_err(|source| PdFailure::Connect { address: address.to_owned(), source: Arc::from(source) })
    }
}
