//! The clients: opened within a deadline, spread over transactions, replaced when one hangs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tikv_client::{Config, TransactionClient};
use tokio::task::JoinSet;

use super::builder::TiKVBuilder;
use super::deadline::{Deadline, Passed};
use super::error::TiKVError;

/// The client panics on a timeout that gRPC's header can't express.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(30 * 24 * 3600);

/// One client has one channel a store, so several are opened where one is not enough.
pub(super) struct Connections {
    opener: Opener,
    slots: Vec<Slot>,
    next: AtomicUsize,
}

struct Slot {
    current: Mutex<Current>,
    /// Held by who replaces the client.
    replacing: tokio::sync::Mutex<()>,
}

/// A client, and how many were there before it.
#[derive(Clone)]
struct Current {
    generation: u64,
    client: TransactionClient,
}

/// A client as a caller has it.
#[derive(Clone)]
pub(super) struct Connection {
    slot: usize,
    generation: u64,
    pub(super) client: TransactionClient,
}

impl Connections {
    pub(super) async fn open(builder: &TiKVBuilder) -> Result<Self, TiKVError> {
        let opener = Opener::new(builder);
        let opened = futures::future::join_all((0..builder.connections).map(|_| opener.open())).await;
        let mut slots = Vec::with_capacity(opened.len());
        for client in opened {
            let current = Mutex::new(Current { generation: 0, client: client? });
            slots.push(Slot { current, replacing: tokio::sync::Mutex::new(()) });
        }
        Ok(Self { opener, slots, next: AtomicUsize::new(0) })
    }

    /// A client for one call that takes long, each request of which may take that long too. The servers are at work on
    /// such a request for minutes, and would be asked for it again and again after the time of an ordinary one.
    pub(super) async fn open_patient(&self, patience: Duration) -> Result<TransactionClient, TiKVError> {
        let Opener { addresses, config, deadline } = &self.opener;
        let config = config.clone().with_timeout(patience.min(LONGEST_TIMEOUT));
        Opener { addresses: addresses.clone(), config, deadline: *deadline }.open().await
    }

    /// The slot for the next transaction.
    pub(super) fn next_slot(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed) % self.slots.len()
    }

    /// The client that a slot has at present.
    pub(super) fn get(&self, slot: usize) -> Connection {
        let current = self.slots[slot].current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Connection { slot, generation: current.generation, client: current.client }
    }

    /// Puts a new client in place of one that hangs. Of those who ask for the same one, the first makes it and the
    /// others wait for that, so a hanging PD is not stormed with connections.
    pub(super) async fn replace(&self, hanging: &Connection) -> Result<(), TiKVError> {
        let slot = &self.slots[hanging.slot];
        let Ok(_replacing) = slot.replacing.try_lock() else {
            drop(slot.replacing.lock().await);
            return Ok(());
        };
        if self.get(hanging.slot).generation != hanging.generation {
            return Ok(());
        }
        tracing::warn!(addresses = ?self.opener.addresses, "PD does not answer on a connection, opening a new one");
        let client = self.opener.open().await?;
        let replaced = Current { generation: hanging.generation + 1, client };
        *slot.current.lock().unwrap_or_else(PoisonError::into_inner) = replaced;
        Ok(())
    }
}

struct Opener {
    addresses: Vec<String>,
    config: Config,
    deadline: Duration,
}

impl Opener {
    fn new(builder: &TiKVBuilder) -> Self {
        let mut config = Config::default()
            .with_timeout(builder.rpc_timeout.min(LONGEST_TIMEOUT))
            .with_grpc_max_decoding_message_size(builder.max_message_bytes);
        if let Some([authority, certificate, key]) = &builder.tls {
            config = config.with_security(authority, certificate, key);
        }
        if let Some(keyspace) = &builder.keyspace {
            config = config.with_keyspace(keyspace);
        }
        Self { addresses: builder.addresses.clone(), config, deadline: builder.connect_deadline }
    }

    /// The client connects to PD without a timeout, and panics on an answer without the header that it expects. So it
    /// does that in tasks of its own, whose panic is an error here and which end with the deadline.
    ///
    /// It asks one address after the other, and an address that says nothing keeps it from the next for ever. So where
    /// it takes long, or panics, each address is tried by itself.
    async fn open(&self) -> Result<TransactionClient, TiKVError> {
        let deadline = Deadline::after(self.deadline);
        let mut connecting = JoinSet::new();
        self.connect(&mut connecting, self.addresses.clone());
        let mut can_try_each = self.addresses.len() > 1;
        let mut reason = "nothing was tried".to_string();
        loop {
            let patience = if can_try_each { self.deadline / 4 } else { self.deadline };
            reason = match deadline.within(patience).bound(connecting.join_next()).await {
                Ok(Some(Ok(Ok(client)))) => return Ok(client),
                // What the client says of the addresses as a whole, such as that they are of two clusters.
                Ok(Some(Ok(Err(error)))) if can_try_each => return Err(self.unreachable(error.to_string())),
                Ok(Some(Ok(Err(error)))) => error.to_string(),
                Ok(Some(Err(_))) => "what answers does not speak PD's protocol".to_string(),
                Ok(None) => return Err(self.unreachable(reason)),
                Err(Passed) if deadline.is_past() => {
                    let reason = format!("there was no answer within {} ms", self.deadline.as_millis());
                    return Err(self.unreachable(reason));
                }
                Err(Passed) => reason,
            };
            if std::mem::take(&mut can_try_each) {
                for address in &self.addresses {
                    self.connect(&mut connecting, vec![address.clone()]);
                }
            }
        }
    }

    fn connect(&self, connecting: &mut JoinSet<tikv_client::Result<TransactionClient>>, addresses: Vec<String>) {
        connecting.spawn(TransactionClient::new_with_config(addresses, self.config.clone()));
    }

    fn unreachable(&self, reason: String) -> TiKVError {
        TiKVError::Unreachable { addresses: self.addresses.clone(), reason }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::io::Write;
    use std::net::TcpListener;

    use super::*;
    use crate::TiKVBackend;
    use tito_core::TitoError;

    /// Connects, and returns the error's text after checking that it names the address.
    async fn refused(address: &str) -> String {
        let deadline = Duration::from_millis(300);
        let outcome = TiKVBackend::builder(vec![address]).connect_deadline(deadline).connections(2).connect().await;
        match outcome {
            Err(error @ TitoError::Unavailable { operation: "connect", .. }) => {
                let text = error.to_string();
                assert!(text.contains(address), "{text:?} does not name {address}");
                text
            }
            other => panic!("expected Unavailable, found {other:?}"),
        }
    }

    #[tokio::test]
    async fn a_closed_port_is_told_by_its_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        refused(&address).await;
    }

    #[tokio::test]
    async fn a_server_that_never_answers_is_given_up_at_the_deadline() {
        // Connections wait in the listener's queue for ever.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = refused(&listener.local_addr().unwrap().to_string()).await;
        assert!(text.contains("within 300 ms"), "{text}");
    }

    #[tokio::test]
    async fn a_server_that_speaks_something_else_is_told_by_its_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let _ = stream.write_all(b"220 mail.example.com ESMTP ready\r\n");
            }
        });
        refused(&address).await;
    }
}
