//! While an application has the directory open and offers its socket.

use tito_console::{Console, Watch, serve_local};
use tito_core::prelude::*;
use tito_worker::prelude::*;
use tokio::io::AsyncReadExt as _;

use crate::support::{Closed, Run, publish, run, tito};

async fn ask(url: &str, arguments: &[&str]) -> Run {
    let mut command = tito(arguments);
    command.env("TITO_DB", url);
    tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_asked_and_operated() {
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    let console = serve_local(&db).await.unwrap();
    let url = closed.url();
    assert!(ask(&url, &["topics"]).await.said().contains("mail"));
    ask(&url, &["events", "publish", "mail", "user:new", "--at", "+1d"]).await.said();
    let stats = ask(&url, &["stats", "mail", "--json"]).await.json();
    assert_eq!(stats["items"][0]["total"]["scheduled"], 4);
    ask(&url, &["dead", "redrive", "mail", "--all"]).await.said();
    ask(&url, &["purge", "mail"]).await.failed(7);
    assert_eq!(ask(&url, &["purge", "mail", "--yes", "--json"]).await.json()["affected"], 5);
    ask(&url, &["topics", "mial"]).await.failed(3);
    // What only the owner of the directory can do says so.
    ask(&url, &["engine", "compact"]).await.failed(2);
    console.stop().await;
    db.close().await;
    assert!(ask(&url, &["topics"]).await.said().contains("mail"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_was_left_behind_is_nobodys() {
    let closed = Closed::with_events().await;
    // What a killed application leaves.
    drop(std::os::unix::net::UnixListener::bind(closed.path().join("tito.sock")).unwrap());
    closed.run(&["topics"]).said();
    closed.run(&["pause", "mail"]).said();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_database_is_backed_up_and_verified() {
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    let console = serve_local(&db).await.unwrap();
    let (url, file) = (closed.url(), closed.beside("backup.tito"));
    let file = file.to_str().unwrap();
    assert!(ask(&url, &["backup", file]).await.said().contains("rows"));
    assert!(ask(&url, &["restore", "--check", file]).await.said().contains("0 are wrong"));
    assert!(ask(&url, &["verify"]).await.said().contains("0 are wrong"));
    assert_eq!(ask(&url, &["verify", "--json"]).await.json()["is_sound"], true);
    ask(&url, &["verify", "--repair"]).await.failed(7);
    assert_eq!(ask(&url, &["verify", "--repair", "--yes", "--json"]).await.json()["is_sound"], true);
    let noted = ask(&url, &["stores", "events", "tito-audit", "--select", "repair", "--json"]).await.json();
    assert_eq!(noted["items"].as_array().unwrap().len(), 2, "{noted}");
    assert!(ask(&url, &["engine", "sizes", "--json"]).await.json()["sizes"]["database_bytes"].as_u64() > Some(0));
    ask(&url, &["resume", "--restored"]).await.said();
    console.stop().await;
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_workers_do_is_watched() {
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    let watch = Watch::new();
    let console = Console::of(&db).watch(&watch).serve_local().await.unwrap();
    let url = closed.url();
    let watching = tokio::spawn(async move {
        let people = ask(&url, &["watch", "audit", "--limit", "3"]).await.said();
        (people, ask(&url, &["watch", "--limit", "1", "--json"]).await.json())
    });
    let worker = Worker::builder(TitoQueue::new(db.clone())).observe(watch);
    let worker = worker.subscribe("audit", |_: TitoEvent| async { Ok::<_, TitoError>(()) }).build();
    while !watching.is_finished() {
        publish(&db, Publish::new("audit", "user:ada")).await;
        worker.drain().await.unwrap();
    }
    let (people, programs) = watching.await.unwrap();
    assert!(people.contains("audit user:ada") && people.contains("handled, attempt 1"), "{people}");
    assert_eq!(programs["queue"], "audit", "{programs}");
    console.stop().await;
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_listed_and_retired() {
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    let console = serve_local(&db).await.unwrap();
    let url = closed.url();
    let worker = Worker::builder(TitoQueue::new(db.clone())).member_name("first\u{202e}").join("fleet");
    let worker = worker.subscribe("audit", |_: TitoEvent| async { Ok::<_, TitoError>(()) }).build();
    // It ends by nothing but what it is told.
    let running = tokio::spawn(async move { worker.run(std::future::pending()).await });
    let id = loop {
        assert!(!running.is_finished(), "it has ended before it was told to");
        let workers = ask(&url, &["workers", "--json"]).await.json();
        if let Some(id) = workers["items"][0]["id"].as_str() {
            break id.to_string();
        }
    };
    let said = ask(&url, &["workers"]).await.said();
    assert!(said.contains(&id) && said.contains("first") && !said.contains('\u{202e}'), "{said}");
    // It is a member of its fleet once it has claimed its place there.
    while !ask(&url, &["members", "fleet"]).await.said().contains("first") {
        assert!(!running.is_finished(), "it has ended before it was told to");
    }
    let fleets = ask(&url, &["fleets", "--json"]).await.json();
    assert_eq!((&fleets["items"][0]["name"], &fleets["items"][0]["live"]), (&"fleet".into(), &1.into()), "{fleets}");
    ask(&url, &["leases", "audit", "--limit", "1"]).await.said();
    let said = ask(&url, &["retire", &id, "--why", "a deploy"]).await.said();
    assert!(said.contains("leaves"), "{said}");
    running.await.unwrap().unwrap();
    ask(&url, &["retire", "0190a000-0000-7000-8000-000000000000"]).await.failed(3);
    ask(&url, &["retire", "nobody"]).await.failed(2);
    let noted = ask(&url, &["stores", "events", "tito-audit", "--select", "retire", "--json"]).await.json();
    assert_eq!(noted["items"][0]["data"]["why"], "a deploy", "{noted}");
    console.stop().await;
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_not_for_the_socket() {
    let closed = Closed::with_events().await;
    let listener = tokio::net::UnixListener::bind(closed.path().join("tito.sock")).unwrap();
    let mut command = tito(&["topics"]);
    command.env("TITO_DB", closed.url()).env("TITO_TOKEN", "secret-0123456789abcdef");
    let asking = tokio::task::spawn_blocking(move || run(&mut command));
    let mut asked = Vec::new();
    // The first connection only finds out whether anybody listens.
    while asked.is_empty() {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut piece = [0; 4_096];
        while !asked.ends_with(b"\r\n\r\n") {
            match stream.read(&mut piece).await.unwrap() {
                0 => break,
                length => asked.extend_from_slice(&piece[..length]),
            }
        }
    }
    let asked = String::from_utf8(asked).unwrap().to_ascii_lowercase();
    assert!(asked.starts_with("get /v1/topics") && !asked.contains("authorization"), "{asked}");
    asking.await.unwrap().failed(5);
}
