//! A port of the loopback interface. Every program of the machine can reach it, and every page in a browser on it tries:
//! so requests that come from elsewhere are refused by what their heads say.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::net::{TcpListener, TcpStream};

use super::listen::{Listen, serve};
use super::{At, Serving};
use crate::access::{Access, Who};
use crate::api::{Code, Role};
use crate::builder::{ConsoleBuilder, Unguarded};
use crate::failure::Failure;

/// What proxies say of whom they ask for.
const FORWARDED: [&str; 9] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-forwarded-by",
    "x-real-ip",
];

impl ConsoleBuilder<Unguarded> {
    /// Serves the API on a port of the loopback interface (0 for any free one) to everybody on this machine, other
    /// users included, with a role.
    ///
    /// A request is refused if its `Host`, without the port, is none of `localhost`, `127.0.0.1` and `hosts`, if a
    /// proxy forwards it, or if a browser sends it for a page of another site. So a page somewhere on the web can't
    /// reach it, not even through a name that resolves to this machine.
    ///
    /// ```no_run
    /// # use tito_console::{Console, api::Role};
    /// # async fn example(db: tito_core::Database) -> std::io::Result<()> {
    /// let serving = Console::of(&db).serve_loopback(8_080, Role::Read, ["tito.internal"]).await?;
    /// println!("{}", serving.command());
    /// serving.stop().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of binding the port.
    pub async fn serve_loopback<H: Into<String>>(
        self,
        port: u16,
        role: Role,
        hosts: impl IntoIterator<Item = H> + Send,
    ) -> io::Result<Serving> {
        let mut allowed = vec!["localhost".to_string(), Ipv4Addr::LOCALHOST.to_string()];
        allowed.extend(hosts.into_iter().map(|host| host.into().to_ascii_lowercase()));
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        let address = listener.local_addr()?;
        let database = self.database().clone();
        let router = self.routes(|_| Access::Listener).layer(from_fn_with_state(Arc::new(allowed), from_here));
        let listener = Loopback { listener, role };
        Ok(Serving::new(At::Loopback(address), |stopped| tokio::spawn(serve(listener, router, database, stopped))))
    }
}

struct Loopback {
    listener: TcpListener,
    role: Role,
}

impl Listen for Loopback {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<Option<(TcpStream, Who)>> {
        let (stream, _) = self.listener.accept().await?;
        Ok(Some((stream, Who { name: "loopback".to_string(), role: self.role })))
    }
}

async fn from_here(State(allowed): State<Arc<Vec<String>>>, request: Request, next: Next) -> Response {
    match why_not(request.headers(), &allowed) {
        Some(reason) => Failure::new(Code::Forbidden, reason).into_response(),
        None => next.run(request).await,
    }
}

/// Why a request does not come from this machine, or might not.
fn why_not(headers: &HeaderMap, allowed: &[String]) -> Option<String> {
    if let Some(name) = FORWARDED.iter().find(|name| headers.contains_key(**name)) {
        return Some(format!("the request was forwarded: it has the header {name:?}"));
    }
    let hosts: Vec<_> = headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or_default()).collect();
    let [host] = hosts.as_slice() else { return Some("the request has to name one `Host`".to_string()) };
    if !allowed.iter().any(|allowed| name_of(host).eq_ignore_ascii_case(allowed)) {
        return Some(format!("{host:?} is none of the hosts that this server answers to"));
    }
    let is_foreign =
        |origin: &str| !origin.strip_prefix("http://").is_some_and(|origin| origin.eq_ignore_ascii_case(host));
    if headers.get_all(header::ORIGIN).iter().any(|origin| is_foreign(origin.to_str().unwrap_or_default())) {
        return Some("the request comes from a page of another site".to_string());
    }
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    let is_of_another = site.is_some_and(|site| site != b"same-origin" && site != b"none");
    is_of_another.then(|| "the request comes from a page of another site".to_string())
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn is_let_in(headers: &[(&'static str, &str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let allowed = ["localhost", "127.0.0.1", "tito.internal"].map(str::to_string);
        why_not(&headers.collect(), &allowed).is_none()
    }

    #[test]
    fn only_what_comes_from_this_machine_is_let_in() {
        for host in ["localhost", "LocalHost:8080", "127.0.0.1:1", "tito.internal"] {
            assert!(is_let_in(&[("host", host)]), "{host}");
            assert!(is_let_in(&[("host", host), ("origin", &format!("http://{host}"))]), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "",
            "localhost:",
            "localhost:x",
            "[::1]",
        ] {
            assert!(!is_let_in(&[("host", host)]), "{host}");
        }
        assert!(!is_let_in(&[]));
        for name in FORWARDED {
            assert!(!is_let_in(&[("host", "localhost"), (name, "for=127.0.0.1")]), "{name}");
        }
        for origin in ["http://evil.example", "null", "https://localhost", "http://localhost:81", ""] {
            assert!(!is_let_in(&[("host", "localhost:80"), ("origin", origin)]), "{origin}");
        }
        for (site, expected) in [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false)] {
            assert_eq!(is_let_in(&[("host", "localhost"), ("sec-fetch-site", site)]), expected, "{site}");
        }
    }
}
