//! Options of the TiKV engine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tito_tikv::transport::Tls;

use super::TiKVBackend;
use super::error::TiKVError;
use crate::clock::{Clock, SystemClock};
use crate::database::Database;
use crate::engine::{Filling, Limits, Purpose};
use crate::error::{Result, TitoError};

/// How transactions that write the same key avoid each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Concurrency {
    /// Nothing is locked before the commit, and of transactions that meet, all but one run again. The fastest if they
    /// seldom meet.
    #[default]
    Optimistic,
    /// Each write and lock waits at its call, for at most a second, until no other transaction of this kind holds the
    /// key; a replay after a conflict begins with the keys that it holds. Each costs a round trip to the cluster, and
    /// saves work if long transactions often meet. Conflicts are still found at the commit, so both kinds can be mixed.
    Pessimistic,
}

/// Options of a [`TiKVBackend`].
///
/// ```no_run
/// # use tito_core::tikv::TiKVBackend;
/// # use std::time::Duration;
/// # async fn example() -> Result<(), tito_core::TitoError> {
/// let db = TiKVBackend::builder(vec!["10.0.0.1:2379", "10.0.0.2:2379"])
///     .tls("ca.pem", "client.pem", "client-key.pem")
///     .connections(4)
///     .call_deadline(Duration::from_secs(5))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct TiKVBuilder {
    pub(super) addresses: Vec<String>,
    pub(super) tls: Option<[PathBuf; 3]>,
    pub(super) keyspace: Option<String>,
    pub(super) connections: usize,
    pub(super) connect_deadline: Duration,
    pub(super) call_deadline: Duration,
    pub(super) maintenance_deadline: Duration,
    pub(super) rpc_timeout: Duration,
    pub(super) retry_budget: u32,
    pub(super) max_message_bytes: usize,
    pub(super) concurrency: Concurrency,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) key_prefix: Vec<u8>,
    pub(super) limits: Limits,
    pub(super) max_transaction_age: Duration,
}

impl TiKVBuilder {
    pub(super) fn new(addresses: Vec<String>) -> Self {
        Self {
            addresses,
            tls: None,
            keyspace: None,
            connections: 1,
            connect_deadline: Duration::from_secs(10),
            call_deadline: Duration::from_secs(10),
            maintenance_deadline: Duration::from_secs(600),
            rpc_timeout: Duration::from_secs(2),
            retry_budget: 200,
            max_message_bytes: 64 << 20,
            concurrency: Concurrency::Optimistic,
            clock: Arc::new(SystemClock),
            key_prefix: Vec::new(),
            limits: Limits::default(),
            max_transaction_age: Duration::from_secs(30),
        }
    }

    /// Connects with TLS: the paths of the certificate authority, of the client's certificate and of its private key,
    /// all as PEM. Default: without TLS.
    pub fn tls(
        mut self,
        authority: impl Into<PathBuf>,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.tls = Some([authority.into(), certificate.into(), key.into()]);
        self
    }

    /// Keeps everything in a keyspace of a cluster that runs with `storage.api-version = 2`. Default: no keyspace.
    pub fn keyspace(mut self, name: impl Into<String>) -> Self {
        self.keyspace = Some(name.into());
        self
    }

    /// How many connections to each store requests are spread over. Default 1, which carries ten thousand small
    /// requests a second and more.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// How long [`connect`](TiKVBuilder::connect) may take. Default 10 s.
    pub fn connect_deadline(mut self, deadline: Duration) -> Self {
        self.connect_deadline = deadline;
        self
    }

    /// How long one call may take in all, with all its attempts. A commit that fails may take twice as long: the second
    /// half is for finding out its outcome. Default 10 s.
    ///
    /// It is measured in real time, whatever [`clock`](TiKVBuilder::clock) is set. If it is shorter than the 3 s for
    /// which the locks of a dead client live, reads of its keys fail until then.
    pub fn call_deadline(mut self, deadline: Duration) -> Self {
        self.call_deadline = deadline;
        self
    }

    /// How long [`gc`](TiKVBackend::gc), [`delete_range`](TiKVBackend::delete_range) and
    /// [`clear`](TiKVBackend::clear) may take. Default 10 min.
    pub fn maintenance_deadline(mut self, deadline: Duration) -> Self {
        self.maintenance_deadline = deadline;
        self
    }

    /// How long one request to one server may take before it is made again. Default 2 s.
    pub fn rpc_timeout(mut self, timeout: Duration) -> Self {
        self.rpc_timeout = timeout;
        self
    }

    /// How often one read, or a request for a timestamp, is retried within its deadline while the cluster is busy,
    /// changing, or has the keys locked. Default 200, more than the default deadline allows.
    pub fn retry_budget(mut self, attempts: u32) -> Self {
        self.retry_budget = attempts;
        self
    }

    /// The largest answer that is taken from a server. Reads of many rows come in pages of a quarter of it; a single
    /// value has to fit. Default 64 MiB.
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = bytes;
        self
    }

    /// How transactions keep out of each other's way. Default [`Concurrency::Optimistic`].
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// The clock that measures the waits of workers and the age of transactions. It should agree with PD's clock.
    /// Default: the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Puts these bytes in front of every key that is stored, so that several databases, or other software, can share
    /// one cluster. No prefix may begin with another one: `app` would include everything under `app2`, so end them all
    /// with the same separator, such as `app/`. Default: none.
    pub fn key_prefix(mut self, prefix: impl Into<Vec<u8>>) -> Self {
        self.key_prefix = prefix.into();
        self
    }

    /// How large keys, values and transactions may be.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How old a transaction may be when it commits. Default 30 s.
    ///
    /// PD's clock counts: a transaction whose commit timestamp would be further from its start is rolled back. Reads of
    /// a transaction that is older by [`clock`](TiKVBuilder::clock), or in real time, are refused.
    pub fn max_transaction_age(mut self, age: Duration) -> Self {
        self.max_transaction_age = age;
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// See [`TiKVBackend::connect`].
    pub async fn connect(self) -> Result<Database> {
        self.start(Purpose::Use).await
    }

    /// Like [`connect`](TiKVBuilder::connect), but the database must exist: none is created. For tools, where a
    /// mistyped prefix should not create an empty database.
    ///
    /// # Errors
    /// The same, and [`TitoError::NoDatabase`].
    pub async fn connect_existing(self) -> Result<Database> {
        self.start(Purpose::Look).await
    }

    /// Connects to a database that is being filled from elsewhere: below the prefix there is nothing, or what has been
    /// filled in so far. Everybody else is refused until it is complete.
    ///
    /// # Errors
    /// Those of [`connect`](TiKVBuilder::connect), and [`TitoError::InvalidTarget`].
    pub async fn connect_to_fill(self, filling: &Filling) -> Result<Database> {
        self.start(Purpose::Fill(filling.clone())).await
    }

    pub(crate) async fn start(self, purpose: Purpose) -> Result<Database> {
        TitoError::without_runtime()?;
        self.check().map_err(|source| TitoError::Storage { operation: "connect", source: source.into() })?;
        TiKVBackend::start(self, purpose).await
    }

    /// The settings of the client.
    pub(super) fn client(&self) -> tito_tikv::Builder {
        let mut client = tito_tikv::Client::builder(self.addresses.iter().cloned())
            .connections(self.connections)
            .connect_deadline(self.connect_deadline)
            .call_deadline(self.call_deadline)
            .request_timeout(self.rpc_timeout)
            .pd_timeout(self.rpc_timeout)
            .retries(self.retry_budget)
            .max_message_bytes(self.max_message_bytes)
            .max_transaction_age(self.max_transaction_age);
        if let Some([authority, certificate, key]) = self.tls.clone() {
            client = client.tls(Tls { authority, certificate, key });
        }
        if let Some(keyspace) = &self.keyspace {
            client = client.keyspace(keyspace);
        }
        client
    }

    fn check(&self) -> Result<(), TiKVError> {
        let invalid = |setting, reason: &str| Err(TiKVError::InvalidSetting { setting, reason: reason.to_string() });
        if self.addresses.is_empty() {
            return invalid("addresses", "expected at least one address of a PD server, such as 127.0.0.1:2379");
        }
        for (position, address) in self.addresses.iter().enumerate() {
            if !is_address(address) {
                return invalid("addresses", &format!("expected host:port, found {address:?}"));
            }
            if self.addresses[..position].contains(address) {
                return invalid("addresses", &format!("{address} is there twice"));
            }
        }
        for path in self.tls.iter().flatten() {
            // They are read for each connection; one that is not there is told before any is made.
            if let Err(error) = std::fs::File::open(path) {
                return invalid("tls", &format!("{} can't be read: {error}", path.display()));
            }
        }
        if self.keyspace.as_ref().is_some_and(String::is_empty) {
            return invalid("keyspace", "expected a name");
        }
        if self.connections == 0 {
            return invalid("connections", "expected at least 1");
        }
        let deadlines = [
            ("connect_deadline", self.connect_deadline),
            ("call_deadline", self.call_deadline),
            ("maintenance_deadline", self.maintenance_deadline),
            ("rpc_timeout", self.rpc_timeout),
            ("max_transaction_age", self.max_transaction_age),
        ];
        for (setting, deadline) in deadlines {
            if deadline < Duration::from_millis(1) {
                return invalid(setting, "expected at least a millisecond");
            }
        }
        // A page of one row has to fit, with room for what is around it.
        let row_bytes = self.limits.key_bytes.saturating_add(self.limits.value_bytes).saturating_add(64 << 10);
        if self.max_message_bytes < row_bytes {
            let reason = format!("expected at least {row_bytes}, for one row of the size that the limits allow");
            return invalid("max_message_bytes", &reason);
        }
        Ok(())
    }
}

/// `host:port`, with or without a scheme in front.
fn is_address(address: &str) -> bool {
    let rest = address.strip_prefix("http://").or_else(|| address.strip_prefix("https://")).unwrap_or(address);
    let Some((host, port)) = rest.rsplit_once(':') else { return false };
    !host.is_empty() && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    fn builder() -> TiKVBuilder {
        TiKVBuilder::new(vec!["127.0.0.1:2379".to_string()])
    }

    #[track_caller]
    fn assert_refused(builder: TiKVBuilder, expected: &str) {
        match builder.check() {
            Err(TiKVError::InvalidSetting { setting, .. }) => assert_eq!(setting, expected),
            other => panic!("expected {expected} to be refused, found {other:?}"),
        }
    }

    #[test]
    fn the_defaults_are_valid() {
        builder().check().unwrap();
    }

    #[test]
    fn settings_that_cannot_be_used_are_refused_by_name() {
        assert_refused(TiKVBuilder::new(vec![]), "addresses");
        for address in ["", "localhost", "localhost:", ":2379", "localhost:0", "localhost:99999", "a b:1"] {
            assert_refused(TiKVBuilder::new(vec![address.to_string()]), "addresses");
        }
        assert_refused(TiKVBuilder::new(vec!["a:1".to_string(), "a:1".to_string()]), "addresses");
        assert_refused(builder().tls("/nonexistent/ca", "/nonexistent/cert", "/nonexistent/key"), "tls");
        assert_refused(builder().keyspace(""), "keyspace");
        assert_refused(builder().connections(0), "connections");
        assert_refused(builder().connect_deadline(Duration::ZERO), "connect_deadline");
        assert_refused(builder().call_deadline(Duration::ZERO), "call_deadline");
        assert_refused(builder().rpc_timeout(Duration::ZERO), "rpc_timeout");
        assert_refused(builder().max_transaction_age(Duration::ZERO), "max_transaction_age");
        assert_refused(builder().max_message_bytes(1 << 20), "max_message_bytes");
    }

    #[test]
    fn addresses_are_taken_with_and_without_a_scheme() {
        for address in ["pd:2379", "http://pd:2379", "https://pd:2379", "[::1]:2379"] {
            TiKVBuilder::new(vec![address.to_string()]).check().unwrap();
        }
    }
}
