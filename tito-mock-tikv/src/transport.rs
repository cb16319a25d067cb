//! How servers communicate.
use tonic::transport::{Server, ServerTlsConfig};

use crate::MockClusterError;

/// TiKV's default number of concurrent calls on a connection.
const CONCURRENT_STREAMS: u32 = 1024;

/// How many calls may be cancelled before the server has looked at them. The default is low, because attackers do this;
/// here it is a test that cancels futures.
const PENDING_RESETS: usize = 1 << 16;

/// The settings for all servers.
#[derive(Clone)]
pub(crate) enum Transport {
    /// Sockets, with TLS if configured.
    Sockets { tls: Option<ServerTlsConfig> },
    /// Only calls within the process.
    InProcess,
}

impl Transport {
    pub(crate) fn is_in_process(&self) -> bool {
        matches!(self, Transport::InProcess)
    }

    /// A server on sockets. It also accepts HTTP/1.1, for PD's pages.
    pub(crate) fn server(&self) -> Result<Server, MockClusterError> {
        let server = Server::builder()
            .accept_http1(true)
            .max_concurrent_streams(CONCURRENT_STREAMS)
            .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS));
        match self {
            Transport::Sockets { tls: Some(tls) } => {
                server.tls_config(tls.clone()).map_err(|error| MockClusterError::Tls(error.into()))
            }
            Transport::Sockets { tls: None } | Transport::InProcess => Ok(server),
        }
    }
}
