//! PD's pages, by a plain HTTP request as a browser makes it.
use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;

fn page(address: &str, path: &str) -> (String, serde_json::Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pd_has_pages_on_the_port_of_its_calls() {
    let cluster = three_stores().await;
    let address = cluster.pd_endpoints()[0].clone();
    let page = move |path: &'static str| {
        let address = address.clone();
        tokio::task::spawn_blocking(move || page(&address, path))
    };
    let (status, regions) = page("/pd/api/v1/regions").await.unwrap();
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert_eq!((regions["count"].as_u64(), regions["regions"].as_array().map(Vec::len)), (Some(4), Some(4)));
    let (_, stores) = page("/pd/api/v1/stores").await.unwrap();
    assert_eq!(stores["stores"][0]["store"]["address"], cluster.stores()[0].address.to_string());
    let (_, version) = page("/pd/api/v1/version").await.unwrap();
    assert_eq!(version["version"], "v9.0.0");
    let (_, health) = page("/pd/api/v1/health").await.unwrap();
    assert_eq!(health[0]["health"], true);
    let (_, members) = page("/pd/api/v1/members").await.unwrap();
    assert_eq!(members["leader"]["name"], "pd-0");
    put(&connect(&cluster).await, "kiwi", "1").await.unwrap();
    cluster.shutdown().await;
}
