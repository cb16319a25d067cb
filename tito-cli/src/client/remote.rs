//! `http://` and `https://`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body_util::Full;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::Body;
use super::transport::{Sent, exchange};
use crate::failure::{Failure, Kind, Result};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// How a console on the network is reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct RemoteOptions {
    /// A file with certificates that are trusted instead of the machine's.
    pub(crate) ca: Option<PathBuf>,
    /// Whether a token may go over a network unencrypted.
    pub(crate) is_plain_allowed: bool,
    /// Whether there is a token.
    pub(crate) has_token: bool,
}

/// A console on the network.
pub(crate) struct Remote {
    host: String,
    port: u16,
    /// As it stands in a request.
    authority: String,
    /// What comes before each path, without a slash at its end.
    base: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Remote {
    pub(crate) fn new(url: &str, options: &RemoteOptions) -> Result<Self> {
        let invalid = |reason: &str| Failure::usage(format!("{:?} can't be used: {reason}", without_user(url)));
        let uri: Uri = url.parse().map_err(|error| invalid("it is no URL").because(error))?;
        let authority = uri.authority().ok_or_else(|| invalid("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(invalid("a token goes into TITO_TOKEN or a file, not into the URL"));
        }
        if uri.query().is_some() {
            return Err(invalid("expected nothing after `?`"));
        }
        let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_string();
        if !is_tls && options.has_token && !options.is_plain_allowed && !is_loopback(&host) {
            return Err(invalid(
                "a token would go over the network unencrypted; use https, or --plain where it is safe",
            ));
        }
        let tls = if is_tls {
            let name =
                ServerName::try_from(host.clone()).map_err(|error| invalid("no server is named so").because(error))?;
            Some((TlsConnector::from(Arc::new(trusted(options)?)), name))
        } else {
            None
        };
        Ok(Self {
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            authority: authority.to_string(),
            base: uri.path().trim_end_matches('/').to_string(),
            host,
            tls,
        })
    }

    pub(super) async fn send(&self, mut request: Request<Full<Bytes>>, sent: &Sent) -> Result<Response<Body>> {
        let uri = format!("{}{}", self.base, request.uri());
        *request.uri_mut() = uri.parse().map_err(|error| Failure::usage("the URL can't be used").because(error))?;
        let unreachable = || Failure::new(Kind::Unavailable, format!("{}:{} can't be reached", self.host, self.port));
        let connecting = tokio::time::timeout(CONNECT, TcpStream::connect((self.host.as_str(), self.port)));
        let stream = match connecting.await {
            Ok(stream) => stream.map_err(|error| unreachable().because(error))?,
            Err(late) => return Err(unreachable().because(late)),
        };
        // A request is one write, which nothing is worth waiting for.
        stream.set_nodelay(true).map_err(|error| unreachable().because(error))?;
        let Some((connector, name)) = &self.tls else { return exchange(stream, request, &self.authority, sent).await };
        let stream = match tokio::time::timeout(CONNECT, connector.connect(name.clone(), stream)).await {
            Ok(stream) => stream.map_err(|error| unreachable().because(error))?,
            Err(late) => return Err(unreachable().because(late)),
        };
        exchange(stream, request, &self.authority, sent).await
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("authority", &self.authority).finish_non_exhaustive()
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// What stands before an `@` is not for messages.
fn without_user(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        _ => url.to_string(),
    }
}

/// Trusts the certificates of the file, or those that the machine trusts.
fn trusted(options: &RemoteOptions) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &options.ca {
        let unusable = || Failure::usage(format!("{} has no usable certificates", path.display()));
        let bytes =
            std::fs::read(path).map_err(|error| Failure::io(format!("{} can't be read", path.display()), error))?;
        for certificate in CertificateDer::pem_slice_iter(&bytes) {
            let certificate = certificate.map_err(|error| unusable().because(error))?;
            roots.add(certificate).map_err(|error| unusable().because(error))?;
        }
        if roots.is_empty() {
            return Err(unusable());
        }
    } else {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "certificates that the machine trusts can't be read");
        }
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(Failure::usage("this machine trusts no certificates; --ca names a file with some"));
        }
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_would_tell_a_token_is_refused() {
        let options = RemoteOptions { has_token: true, ..RemoteOptions::default() };
        let error = Remote::new("http://example.com/tito/", &options).unwrap_err().to_string();
        assert!(error.contains("unencrypted"), "{error}");
        for url in ["http://127.0.0.1:8080", "http://[::1]:8080/x/", "http://localhost"] {
            Remote::new(url, &options).unwrap();
        }
        Remote::new("http://example.com", &RemoteOptions { is_plain_allowed: true, ..options.clone() }).unwrap();
        let error = Remote::new("https://ada:secret@example.com", &options).unwrap_err().to_string();
        assert!(error.contains("TITO_TOKEN") && !error.contains("secret"), "{error}");
        assert!(Remote::new("https://", &options).is_err());
        assert!(Remote::new("https://a?b=c", &options).is_err());
    }

    #[test]
    fn paths_lie_below_the_urls() {
        let remote = Remote::new("http://[::1]:81/ops/", &RemoteOptions::default()).unwrap();
        assert_eq!((remote.host.as_str(), remote.port, remote.base.as_str()), ("::1", 81, "/ops"));
    }
}
