//! PD addresses that are no use: an error within the deadline that says what could not be reached.

use std::future::Future;
use std::time::Duration;

use tito_core::prelude::*;
use tito_core::tikv::TiKVBackend;
use tito_test_engines::mock_tikv::MockCluster;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::*;

const DEADLINE: Duration = Duration::from_millis(400);

/// Connects, in vain and within the deadline, with an error that names all addresses.
async fn refused(addresses: &[String]) -> TitoError {
    let connecting = TiKVBackend::builder(addresses.to_vec()).connect_deadline(DEADLINE).connect();
    let error = in_time(connecting).await.expect_err("nothing usable is there");
    assert!(matches!(error, TitoError::Unavailable { operation: "connect", .. }), "{error:?}");
    for address in addresses {
        assert_says(&error, &["connect", address]);
    }
    error
}

/// A server on loopback that does this with each connection, and its address.
async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn silent() -> String {
    server(|stream| async move {
        let _open = stream;
        std::future::pending().await
    })
    .await
}

async fn closed_port() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing() {
    let error = refused(&[silent().await]).await;
    assert_says(&error, &["within 400 ms"]);
}

#[tokio::test]
async fn a_closed_port() {
    refused(&[closed_port().await]).await;
}

#[tokio::test]
async fn a_server_that_speaks_the_first_version_of_http() {
    let answer = |mut stream: TcpStream| async move {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await
    };
    refused(&[server(answer).await]).await;
}

#[tokio::test]
async fn a_server_that_answers_random_bytes() {
    let answer = |mut stream: TcpStream| async move {
        let mut random = fastrand::Rng::with_seed(7);
        let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(4096).collect();
        stream.write_all(&bytes).await
    };
    refused(&[server(answer).await]).await;
}

#[tokio::test]
async fn a_store_in_place_of_pd() {
    let cluster = MockCluster::builder().start().await.unwrap();
    refused(&[cluster.stores()[0].address.to_string()]).await;
}

/// The client takes the header for granted.
#[tokio::test]
async fn a_pd_whose_answer_is_empty() {
    let error = refused(&[server(answer_nothing_to_every_call).await]).await;
    assert_says(&error, &["PD"]);
}

/// Speaks as much of HTTP/2 and gRPC as it takes to answer every call with an empty message.
async fn answer_nothing_to_every_call(mut stream: TcpStream) -> std::io::Result<()> {
    const PREFACE: usize = 24;
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;
    let mut preface = [0; PREFACE];
    stream.read_exact(&mut preface).await?;
    stream.write_all(&frame(SETTINGS, 0, 0, b"")).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await?;
        let (kind, flags) = (head[3], head[4]);
        let number = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            // The status 200 of HPACK's table, and the type of content under its 31st name.
            let headers = [b"\x88\x0f\x10\x10".as_slice(), b"application/grpc"].concat();
            let trailers = [b"\x00\x0b".as_slice(), b"grpc-status", b"\x01", b"0"].concat();
            stream.write_all(&frame(HEADERS, END_HEADERS, number, &headers)).await?;
            // Not compressed, of no length.
            stream.write_all(&frame(DATA, 0, number, &[0; 5])).await?;
            stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, number, &trailers)).await?;
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test]
async fn a_cluster_without_a_leader() {
    let cluster = MockCluster::builder().pd_members(3).start().await.unwrap();
    cluster.remove_pd_leader();
    refused(&cluster.pd_endpoints()).await;
    cluster.restore_pd_leader();
    connect(&cluster).await.timestamp().await.unwrap();
}

#[tokio::test]
async fn addresses_that_are_none_are_told_before_anything_is_connected_to() {
    for (addresses, words) in [
        (vec![], ["addresses", "at least one"]),
        (vec!["nonsense"], ["addresses", "\"nonsense\""]),
        (vec![""], ["addresses", "host:port"]),
        (vec!["127.0.0.1:2379", "127.0.0.1:2379"], ["127.0.0.1:2379", "twice"]),
        (vec!["127.0.0.1:65536"], ["addresses", "host:port"]),
        (vec!["http://"], ["addresses", "host:port"]),
    ] {
        let error = TiKVBackend::connect(addresses.clone()).await.expect_err("no addresses");
        assert!(matches!(error, TitoError::Storage { operation: "connect", .. }), "{addresses:?}: {error:?}");
        assert_says(&error, &words);
    }
}

#[tokio::test]
async fn one_address_that_answers_is_enough() {
    let cluster = MockCluster::builder().start().await.unwrap();
    let good = cluster.pd_endpoints().remove(0);
    for bad in [closed_port().await, silent().await, server(answer_nothing_to_every_call).await] {
        for addresses in [vec![bad.clone(), good.clone()], vec![good.clone(), bad.clone()]] {
            let connecting = TiKVBackend::builder(addresses).connect_deadline(Duration::from_secs(4)).connect();
            let db = in_time(connecting).await.unwrap();
            put_all(&db, &["a"], "1").await.unwrap();
        }
    }
}

#[tokio::test]
async fn addresses_of_two_clusters_are_refused() {
    let one = MockCluster::builder().start().await.unwrap();
    let two = MockCluster::builder().start().await.unwrap();
    let error = refused(&[one.pd_endpoints(), two.pd_endpoints()].concat()).await;
    assert_says(&error, &["cluster"]);
}
