//! How servers speak.
use tonic::transport::{Server, ServerTlsConfig};

use crate::MockClusterError;

/// TiKV's default of calls at once on a connection.
const CONCURRENT_STREAMS: u32 = 1024;

/// How many calls may be given up before the server has looked at them. Few are allowed by default, as an attacker does
/// such a thing; here it is a test that cancels futures.
const PENDING_RESETS: usize = 1 << 16;

/// The settings of all servers.
#[derive(Clone)]
pub(crate) enum Transport {
    /// Sockets, with TLS if there are settings for it.
    Sockets { tls: Option<ServerTlsConfig> },
    /// Calls within the process only.
    InProcess,
}

impl Transport {
    pub(crate) fn is_in_process(&self) -> bool {
        matches!(self, Transport::InProcess)
    }

    /// A server on sockets. It takes HTTP/1.1 as well, for PD's pages.
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
