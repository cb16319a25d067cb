//! Connections over sockets.
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use tonic::codegen::StdError;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::{Connection, Transport};

/// How often an idle connection is looked at, as TiDB's client does.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// How long the other end has to answer that.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections over TCP, with TLS if files for it are given.
#[derive(Clone, Debug, Default)]
pub struct Sockets {
    tls: Option<Tls>,
}

/// The PEM files for TLS. They are read for each new connection, so replaced files take effect.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificates of the authority that signed the servers' certificates.
    pub authority: PathBuf,
    /// The client's certificate.
    pub certificate: PathBuf,
    /// The private key of the client's certificate.
    pub key: PathBuf,
}

impl Sockets {
    /// Connections without TLS.
    pub fn plain() -> Self {
        Sockets { tls: None }
    }

    /// Connections with TLS.
    pub fn tls(tls: Tls) -> Self {
        Sockets { tls: Some(tls) }
    }
}

async fn read(path: PathBuf) -> Result<Vec<u8>, StdError> {
    let named = path.clone();
    // A certificate is small, and connections are few.
    let read = tokio::task::spawn_blocking(move || std::fs::read(&path)).await?;
    read.map_err(|error| format!("{} can't be read: {error}", named.display()).into())
}

async fn settings(tls: Tls) -> Result<ClientTlsConfig, StdError> {
    let (authority, certificate, key) =
        (read(tls.authority).await?, read(tls.certificate).await?, read(tls.key).await?);
    Ok(ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(authority))
        .identity(Identity::from_pem(certificate, key)))
}

impl Transport for Sockets {
    fn connect(&self, address: &str) -> Pin<Box<dyn Future<Output = Result<Connection, StdError>> + Send>> {
        let bare = address.trim_start_matches("http://").trim_start_matches("https://").trim_end_matches('/');
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let (url, tls) = (format!("{scheme}://{bare}"), self.tls.clone());
        Box::pin(async move {
            let mut endpoint = Endpoint::from_shared(url)?
                .connect_timeout(CONNECT_TIMEOUT)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
                .keep_alive_timeout(KEEPALIVE_TIMEOUT)
                .keep_alive_while_idle(true)
                .initial_stream_window_size(Some(1 << 24))
                .initial_connection_window_size(Some(1 << 26));
            if let Some(tls) = tls {
                endpoint = endpoint.tls_config(settings(tls).await?)?;
            }
            Ok(Connection::new(endpoint.connect().await?))
        })
    }
}
