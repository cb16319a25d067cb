//! Peers that are gone or hang: what they were answered gives its place back.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tito_console::{ConsoleLimits, Watch};
use tito_eventstore::types::Codec;
use tito_eventstore::{EventStoreConfig, Manager, NewEvent};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::{DESTROYER, READER, Served};

const HEARTBEAT: Duration = Duration::from_secs(15);

/// With one place for a stream, and `heartbeat` as it is by default.
async fn served() -> Served {
    Served::with(|console| console.limits(ConsoleLimits::default().streams(1)).watch(&Watch::new())).await
}

async fn is_free(served: &Served, path: &str) -> bool {
    let request = Request::get(path).header("authorization", format!("Bearer {DESTROYER}"));
    let status = served.send(request.body(Body::empty()).unwrap()).await.status();
    assert!(matches!(status, StatusCode::OK | StatusCode::TOO_MANY_REQUESTS), "{path}: {status}");
    status == StatusCode::OK
}

/// Answers whoever connects.
async fn serve(served: &Served) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, router) = (listener.local_addr().unwrap(), served.router());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, router.clone()));
        }
    });
    address
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, router: axum::Router) {
    let service = TowerToHyperService::new(router);
    // It fails where its peer is gone.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Asks, and reads the head of the answer.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {DESTROYER}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
}

#[tokio::test]
async fn a_peer_that_breaks_off_gives_its_place_back_at_once() {
    let served = served().await;
    let mut stream = TcpStream::connect(serve(&served).await).await.unwrap();
    ask(&mut stream, "/v1/watch").await;
    assert!(!is_free(&served, "/v1/watch").await);
    // Not closed in order: the other side is told to forget the connection.
    stream.set_zero_linger().unwrap();
    drop(stream);
    while !is_free(&served, "/v1/watch").await {
        tokio::task::yield_now().await;
    }
}

/// A connection whose peer has vanished, as the system shows it: nothing comes in any more, and what is sent seems to leave
/// until the system gives it up.
struct Vanishing {
    stream: tokio::io::DuplexStream,
    is_gone: Arc<AtomicBool>,
}

impl AsyncRead for Vanishing {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_gone.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Vanishing {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_gone.load(Ordering::SeqCst) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[tokio::test]
async fn a_peer_that_vanishes_without_a_word_is_found_out_by_the_next_heartbeat() {
    let served = served().await;
    let (mut peer, stream) = tokio::io::duplex(4_096);
    let is_gone = Arc::new(AtomicBool::new(false));
    tokio::spawn(answer(Vanishing { stream, is_gone: is_gone.clone() }, served.router()));
    ask(&mut peer, "/v1/watch").await;
    is_gone.store(true, Ordering::SeqCst);
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert!(!is_free(&served, "/v1/watch").await, "nothing happens, so nobody knows");
    }
    served.clock.advance(HEARTBEAT);
    while !is_free(&served, "/v1/watch").await {
        tokio::task::yield_now().await;
    }
}

/// A peer that asks and then never reads, and how often a heartbeat comes until its place is free.
async fn heartbeats_until_free(served: &Served, address: SocketAddr, path: &str) -> (u32, TcpStream) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    ask(&mut stream, path).await;
    let mut heartbeats = 0;
    while !is_free(served, path).await {
        served.clock.advance(HEARTBEAT);
        heartbeats += 1;
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert!(heartbeats < 1_000, "{path}: its place is never free again");
    }
    (heartbeats, stream)
}

#[tokio::test]
async fn a_peer_that_takes_nothing_any_more_loses_its_place() {
    let served = served().await;
    let manager = Manager::new(served.db.clone());
    let bank = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    // More than all buffers between the two hold.
    for number in 0..150 {
        let json = format!("\"{}\"", "x".repeat(200_000));
        let event = NewEvent::encoded(format!("account.{number}"), "opened", 1, Codec::Json, json);
        bank.append(event).await.unwrap();
    }
    let address = serve(&served).await;
    let path = "/v1/stores/bank/tail";
    let (heartbeats, mut stream) = heartbeats_until_free(&served, address, path).await;
    assert!(heartbeats >= 4, "whoever is only slow keeps it: {heartbeats}");
    // What it was not sent is missed: the answer does not end as if it were whole.
    let mut rest = Vec::new();
    let ended = stream.read_to_end(&mut rest).await;
    assert!(ended.is_err() || !rest.ends_with(b"0\r\n\r\n"), "{} bytes", rest.len());
    manager.close().await;
}

#[tokio::test]
async fn a_backup_that_nobody_takes_loses_its_place() {
    let served = served().await;
    for number in 0..150 {
        let event = tito_worker::Publish::new("mail", format!("user:{number}")).payload(&"x".repeat(200_000)).unwrap();
        served.publish(event).await;
    }
    let address = serve(&served).await;
    let path = "/v1/backup?bytes_per_second=1000000000000000";
    // There are two places.
    let mut other = TcpStream::connect(address).await.unwrap();
    ask(&mut other, path).await;
    let (heartbeats, mut stream) = heartbeats_until_free(&served, address, path).await;
    assert!(heartbeats >= 4, "{heartbeats}");
    let mut rest = Vec::new();
    let ended = stream.read_to_end(&mut rest).await;
    assert!(ended.is_err() || !rest.ends_with(b"0\r\n\r\n"), "{} bytes", rest.len());
}

/// Whoever reads, however slowly, keeps its place.
#[tokio::test]
async fn a_peer_that_is_slow_keeps_its_place() {
    let served = served().await;
    let manager = Manager::new(served.db.clone());
    let bank = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    for number in 0..40 {
        bank.append(NewEvent::raw(format!("account.{number}"), "opened", "by ada")).await.unwrap();
    }
    let request = Request::builder().method(Method::GET).uri("/v1/stores/bank/tail");
    let request = request.header("authorization", format!("Bearer {READER}")).body(Body::empty()).unwrap();
    let mut body = served.send(request).await.into_body().into_data_stream();
    for _ in 0..40 {
        for _ in 0..3 {
            served.clock.advance(HEARTBEAT);
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
        let line = futures::StreamExt::next(&mut body).await.unwrap().unwrap();
        assert!(!line.is_empty());
        assert!(!is_free(&served, "/v1/stores/bank/tail").await);
    }
    manager.close().await;
}
