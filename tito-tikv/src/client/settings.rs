//! The settings of a client, and its making.
use std::sync::Arc;
use std::time::Duration;

use super::Client;
use super::core::Core;
use crate::transport::{Sockets, Tls, Transport};
use crate::{Error, Result};

/// The settings of a [`Client`].
#[derive(Clone)]
#[must_use = "there is no client before `connect`"]
pub struct Builder {
    addresses: Vec<String>,
    transport: Option<Arc<dyn Transport>>,
    tls: Option<Tls>,
    pub(super) settings: Settings,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) connect_deadline: Duration,
    pub(crate) call_deadline: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) pd_timeout: Duration,
    pub(crate) rollback_patience: Duration,
    pub(crate) retries: u32,
    pub(crate) connections: usize,
    pub(crate) batch_commands: bool,
    pub(crate) max_message_bytes: usize,
    pub(crate) keyspace: Option<String>,
    pub(crate) max_transaction_age: Option<Duration>,
    pub(crate) seed: Option<u64>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("addresses", &self.addresses).field("settings", &self.settings).finish()
    }
}

impl Builder {
    pub(super) fn new(addresses: Vec<String>) -> Self {
        let settings = Settings {
            connect_deadline: Duration::from_secs(10),
            call_deadline: Duration::from_secs(10),
            request_timeout: Duration::from_secs(3),
            pd_timeout: Duration::from_secs(3),
            rollback_patience: Duration::from_secs(1),
            retries: u32::MAX,
            connections: 1,
            batch_commands: true,
            max_message_bytes: 64 << 20,
            keyspace: None,
            max_transaction_age: None,
            seed: None,
        };
        Builder { addresses, transport: None, tls: None, settings }
    }

    /// Connects with TLS, by PEM files that are read for each new connection. Default: without.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Reaches servers in another way than over sockets; [`tls`](Self::tls) has no effect then.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Keeps everything in a keyspace of a cluster that runs with `storage.api-version = 2`. Default: no keyspace.
    pub fn keyspace(mut self, name: impl Into<String>) -> Self {
        self.settings.keyspace = Some(name.into());
        self
    }

    /// How long [`connect`](Self::connect) may take. Default 10 s.
    pub fn connect_deadline(mut self, deadline: Duration) -> Self {
        self.settings.connect_deadline = deadline;
        self
    }

    /// How often a read, or a question for a timestamp, is asked again within its deadline. Default: as often as it
    /// takes.
    pub fn retries(mut self, retries: u32) -> Self {
        self.settings.retries = retries;
        self
    }

    /// How long one call may take with all its attempts. Default 10 s.
    ///
    /// A commit whose outcome is not known by then asks the primary key for as long again before it says so.
    pub fn call_deadline(mut self, deadline: Duration) -> Self {
        self.settings.call_deadline = deadline;
        self
    }

    /// How long one request to one store may take before it counts as unanswered. Default 3 s. The store is told to
    /// give up after two thirds of it.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.settings.request_timeout = timeout;
        self
    }

    /// How long one request to PD may take. Default 3 s.
    pub fn pd_timeout(mut self, timeout: Duration) -> Self {
        self.settings.pd_timeout = timeout;
        self
    }

    /// How long a commit that certainly failed waits for its rollback before it says so; the rollback goes on after it.
    /// Default 1 s.
    pub fn rollback_patience(mut self, patience: Duration) -> Self {
        self.settings.rollback_patience = patience;
        self
    }

    /// How many connections there are to each store. Default 1.
    pub fn connections(mut self, connections: usize) -> Self {
        self.settings.connections = connections;
        self
    }

    /// Whether requests go over one stream for each connection where a store has that (`BatchCommands`); they do by
    /// default.
    pub fn batch_commands(mut self, batch: bool) -> Self {
        self.settings.batch_commands = batch;
        self
    }

    /// The largest answer that is taken from a store, in bytes. Default 64 MiB.
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_message_bytes = bytes;
        self
    }

    /// How old a transaction may be at its commit timestamp, on PD's clock. Default: as old as it gets.
    pub fn max_transaction_age(mut self, age: Duration) -> Self {
        self.settings.max_transaction_age = Some(age);
        self
    }

    /// The seed of the lengths of pauses between attempts. Default: another one each time.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// Connects. Needs a Tokio runtime with time, and with IO for sockets, which then runs the client's tasks.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a setting that can't be used or a keyspace that is not there, [`Error::Pd`] if no member
    /// could be reached within the [`connect_deadline`](Self::connect_deadline).
    pub async fn connect(self) -> Result<Client> {
        self.check()?;
        let transport: Arc<dyn Transport> = match (self.transport, self.tls) {
            (Some(transport), _) => transport,
            (None, Some(tls)) => Arc::new(Sockets::tls(tls)),
            (None, None) => Arc::new(Sockets::plain()),
        };
        Ok(Client { core: Core::connect(transport, self.addresses, self.settings).await? })
    }

    fn check(&self) -> Result<()> {
        let invalid = |what, reason: &str| Err(Error::Invalid { what, reason: reason.to_owned() });
        let settings = &self.settings;
        if self.addresses.is_empty() {
            return invalid("addresses", "expected at least one address of a PD member, such as 127.0.0.1:2379");
        }
        for (what, time) in [
            ("connect_deadline", settings.connect_deadline),
            ("call_deadline", settings.call_deadline),
            ("request_timeout", settings.request_timeout),
            ("pd_timeout", settings.pd_timeout),
        ] {
            if time < Duration::from_millis(1) {
                return invalid(what, "expected at least a millisecond");
            }
        }
        if settings.connections == 0 {
            return invalid("connections", "expected at least 1");
        }
        Ok(())
    }
}
