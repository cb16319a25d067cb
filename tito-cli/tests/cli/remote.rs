//! A console on the network.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use tito_console::Console;
use tito_console::api::Role;
use tito_core::prelude::*;
use tito_testkit::in_memory;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

use crate::support::{Run, fill, run, tito};

const READER: &str = "reader-0123456789abcdef";
const OPERATOR: &str = "operator-0123456789abcdef";

/// Serves a database until the test ends.
async fn serve(db: &Database) -> SocketAddr {
    let router = Console::of(db).token("reader", Role::Read, READER).token("operator", Role::Operate, OPERATOR);
    let router = axum::Router::new().nest("/ops", router.router().unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn ask(address: SocketAddr, token: Option<&str>, arguments: &[&str]) -> Run {
    let mut command = tito(arguments);
    command.env("TITO_DB", format!("http://{address}/ops"));
    if let Some(token) = token {
        command.env("TITO_TOKEN", token);
    }
    tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_says_what_may_be_done() {
    let db = in_memory().await.unwrap();
    fill(&db).await;
    let address = serve(&db).await;
    assert!(ask(address, Some(READER), &["topics"]).await.said().contains("mail"));
    ask(address, Some(READER), &["pause", "mail"]).await.failed(4);
    ask(address, Some(OPERATOR), &["pause", "mail"]).await.said();
    ask(address, Some(OPERATOR), &["purge", "mail", "--yes"]).await.failed(4);
    ask(address, None, &["topics"]).await.failed(4);
    let said = ask(address, Some("wrong-0123456789abcdef"), &["topics"]).await.failed(4);
    assert!(said.contains("token") && !said.contains("wrong-"), "{said}");
    ask(address, Some(READER), &["topics", "mial"]).await.failed(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_can_be_in_a_file() {
    let db = in_memory().await.unwrap();
    fill(&db).await;
    let address = serve(&db).await;
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("token");
    fs::write(&file, format!("{READER}\n")).unwrap();
    ask(address, None, &["topics", "--token-file", file.to_str().unwrap()]).await.said();
    fs::remove_file(&file).unwrap();
    ask(address, None, &["topics", "--token-file", file.to_str().unwrap()]).await.failed(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_can_be_tried_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It takes the connection and says nothing.
    let said = ask(address, Some(READER), &["topics", "--timeout", "200ms"]).await.failed(5);
    assert!(said.contains("--timeout"), "{said}");
    drop(listener);
    ask(address, Some(READER), &["topics"]).await.failed(5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_without_an_answer_may_be_done() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // It reads what is asked, and says nothing.
    let silent = |listener: tokio::net::TcpListener| async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut [0; 16]).await.unwrap();
        (listener, stream)
    };
    // Or hangs up.
    let leaving = async { silent(listener).await.0 };
    let (said, listener) = tokio::join!(ask(address, Some(OPERATOR), &["pause", "mail", "--json"]), leaving);
    let said: serde_json::Value = serde_json::from_str(&said.failed(8)).unwrap();
    assert_eq!(said["error"]["code"], "outcome_unknown");
    let change = ["pause", "mail", "--timeout", "300ms"];
    let (said, (listener, _stream)) = tokio::join!(ask(address, Some(OPERATOR), &change), silent(listener));
    assert!(said.failed(8).contains("--timeout"));
    // What only counts changes nothing, and who was not reached has done nothing.
    let rehearsal = ["purge", "mail", "--dry-run", "--timeout", "300ms"];
    let (said, (listener, _stream)) = tokio::join!(ask(address, Some(OPERATOR), &rehearsal), silent(listener));
    said.failed(5);
    drop(listener);
    ask(address, Some(OPERATOR), &["pause", "mail"]).await.failed(5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_end_is_refused() {
    let piece = axum::body::Bytes::from(vec![b' '; 1 << 20]);
    let endless = move || {
        let piece = piece.clone();
        async move { axum::body::Body::from_stream(futures::stream::repeat(Ok::<_, std::convert::Infallible>(piece))) }
    };
    let router = axum::Router::new().fallback(endless);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let said = ask(address, None, &["topics"]).await.failed(1);
    assert!(said.contains("more than 64 MiB"), "{said}");
    let said = ask(address, None, &["watch"]).await.failed(1);
    assert!(said.contains("bytes"), "{said}");
}

/// Accepts connections by TLS.
struct Tls {
    listener: tokio::net::TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<tokio::net::TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.listener.accept().await.unwrap();
            // Who does not trust the certificate hangs up.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn https_goes_by_the_certificates_that_are_trusted() {
    let db = in_memory().await.unwrap();
    fill(&db).await;
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let listener = Tls { listener, acceptor: TlsAcceptor::from(Arc::new(config)) };
    let router = Console::of(&db).token("reader", Role::Read, READER).router().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });

    let place = tempfile::tempdir().unwrap();
    let trusted = place.path().join("ca.pem");
    fs::write(&trusted, cert.pem()).unwrap();
    let ask = |arguments: Vec<String>| {
        let mut command = tito(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        command.env("TITO_DB", &url).env("TITO_TOKEN", READER);
        tokio::task::spawn_blocking(move || run(&mut command))
    };
    let by = |file: &std::path::Path| vec!["topics".into(), "--ca".into(), file.display().to_string()];
    assert!(ask(by(&trusted)).await.unwrap().said().contains("mail"));
    let other = place.path().join("other.pem");
    fs::write(&other, rcgen::generate_simple_self_signed(["localhost".into()]).unwrap().cert.pem()).unwrap();
    ask(by(&other)).await.unwrap().failed(5);
    fs::write(&other, "no certificate").unwrap();
    ask(by(&other)).await.unwrap().failed(2);
}
