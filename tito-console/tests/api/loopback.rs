//! A port of the loopback interface.

use tito_console::Console;
use tito_console::api::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn status(address: std::net::SocketAddr, method: &str, path: &str, headers: &str) -> u16 {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_port_answers_this_machine_and_no_page_of_another_site() {
    let db = tito_testkit::in_memory().await.unwrap();
    tito_worker::TitoQueue::new(db.clone()).create_topic("mail", 1).await.unwrap();
    let serving = Console::of(&db).serve_loopback(0, Role::Operate, ["tito.internal"]).await.unwrap();
    let address = serving.address().unwrap();
    assert!(address.ip().is_loopback() && serving.command().contains(&address.to_string()), "{}", serving.command());
    let table = [
        ("GET", "/v1/topics", "Host: localhost\r\n", 200),
        ("GET", "/v1/topics", "Host: TITO.internal:80\r\n", 200),
        ("POST", "/v1/queues/mail/pause", "Host: localhost\r\nOrigin: http://localhost\r\n", 200),
        ("POST", "/v1/queues/mail/purge", "Host: localhost\r\n", 403),
        ("GET", "/v1/topics", "Host: evil.example\r\n", 403),
        ("GET", "/v1/topics", "Host: localhost\r\nHost: localhost\r\n", 403),
        ("GET", "/live", "Host: evil.example\r\n", 403),
        ("POST", "/v1/queues/mail/pause", "Host: localhost\r\nOrigin: http://evil.example\r\n", 403),
        ("GET", "/v1/topics", "Host: localhost\r\nX-Forwarded-For: 10.0.0.1\r\n", 403),
        ("GET", "/v1/topics", "Host: localhost\r\nForwarded: for=10.0.0.1\r\n", 403),
        ("GET", "/v1/topics", "Host: localhost\r\nVia: 1.1 proxy\r\n", 403),
    ];
    for (method, path, headers, expected) in table {
        assert_eq!(status(address, method, path, headers).await, expected, "{method} {path} {headers:?}");
    }
    serving.stop().await;
    assert!(TcpStream::connect(address).await.is_err(), "it has stopped");
}
