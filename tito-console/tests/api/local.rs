//! The socket in a database's directory.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use tito_console::{ServeError, find_socket, serve_local};
use tito_core::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

async fn ask(socket: &Path, path: &str) -> String {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn an_open_database_answers_its_owner_on_a_socket_in_its_directory() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("it's here");
    let db = EmbeddedBackend::open(&directory).await.unwrap();
    tito_worker::TitoQueue::new(db.clone()).create_topic("mail", 1).await.unwrap();
    let console = serve_local(&db).await.unwrap();
    let socket = console.socket().unwrap().to_path_buf();
    assert_eq!(socket, directory.join("tito.sock"));
    assert_eq!(find_socket(&directory).unwrap().as_ref(), Some(&socket));
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(console.command().contains(r"it'\''s here"), "{}", console.command());
    let answer = ask(&socket, "/v1/topics").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"mail\""), "{answer}");

    let again = serve_local(&db).await.unwrap_err();
    assert!(matches!(again, ServeError::AlreadyServed { .. }), "{again}");
    console.stop().await;
    assert_eq!(find_socket(&directory).unwrap(), None);
    serve_local(&db).await.unwrap().stop().await;
    db.close().await;
}

#[tokio::test]
async fn a_socket_ends_with_its_database() {
    let place = tempfile::tempdir().unwrap();
    let db = EmbeddedBackend::open(place.path().join("db")).await.unwrap();
    let console = serve_local(&db).await.unwrap();
    let socket = console.socket().unwrap().to_path_buf();
    db.close().await;
    console.stop().await;
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_socket_that_was_left_behind_is_in_nobodys_way() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("db");
    std::fs::create_dir(&directory).unwrap();
    // Bound and dropped: the file stays, as after a kill.
    drop(std::os::unix::net::UnixListener::bind(directory.join("tito.sock")).unwrap());
    std::fs::write(directory.join("tito.sock.at"), "/nowhere/tito-1/tito.sock").unwrap();
    let db = EmbeddedBackend::open(&directory).await.unwrap();
    let console = serve_local(&db).await.unwrap();
    assert!(ask(console.socket().unwrap(), "/v1/topics").await.starts_with("HTTP/1.1 200"));
    assert!(!directory.join("tito.sock.at").exists());
    console.stop().await;
    db.close().await;
    // An existing one opens as well.
    drop(std::os::unix::net::UnixListener::bind(directory.join("tito.sock")).unwrap());
    EmbeddedBackend::open(&directory).await.unwrap().close().await;
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("db");
    let db = EmbeddedBackend::open(&directory).await.unwrap();
    let precious = place.path().join("tito-1").join("tito.sock");
    std::fs::create_dir(precious.parent().unwrap()).unwrap();
    std::fs::write(&precious, "precious").unwrap();
    std::fs::write(directory.join("tito.sock.at"), precious.to_str().unwrap()).unwrap();
    std::fs::write(directory.join("tito.sock"), "precious").unwrap();
    let error = serve_local(&db).await.unwrap_err();
    assert!(matches!(error, ServeError::Io { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(directory.join("tito.sock")).unwrap(), "precious");
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
    db.close().await;
}

#[tokio::test]
async fn a_path_that_is_too_long_for_a_socket_is_named_by_a_file() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("d".repeat(120));
    let db = EmbeddedBackend::open(&directory).await.unwrap();
    let console = serve_local(&db).await.unwrap();
    let socket = console.socket().unwrap().to_path_buf();
    assert!(std::fs::metadata(&socket).unwrap().file_type().is_socket());
    let folder = socket.parent().unwrap().to_path_buf();
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(find_socket(&directory).unwrap().as_ref(), Some(&socket));
    assert!(ask(&socket, "/v1/topics").await.starts_with("HTTP/1.1 200"));
    console.stop().await;
    assert!(!folder.exists() && !directory.join("tito.sock.at").exists());
    db.close().await;
}

/// A folder with a socket in it, and the note of a directory that leads there.
fn noted(directory: &Path, folder: &Path) -> std::os::unix::net::UnixListener {
    std::fs::create_dir(folder).unwrap();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(folder.join("tito.sock")).unwrap();
    let found = std::fs::metadata(directory).unwrap();
    let note = format!("{} {}\n{}", found.dev(), found.ino(), folder.join("tito.sock").display());
    std::fs::write(directory.join("tito.sock.at"), note).unwrap();
    listener
}

#[tokio::test]
async fn a_note_is_believed_if_all_belongs_to_its_writer_alone() {
    let place = tempfile::tempdir().unwrap();
    let (directory, folder) = (place.path().join("db"), place.path().join("tito-1"));
    std::fs::create_dir(&directory).unwrap();
    let _listener = noted(&directory, &folder);
    let socket = folder.join("tito.sock");
    assert_eq!(find_socket(&directory).unwrap().as_ref(), Some(&socket));
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(find_socket(&directory).unwrap(), None, "others may look into the folder");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    // Only root can give things away.
    for path in [&folder, &socket] {
        let owner = std::fs::metadata(path).unwrap().uid();
        if std::os::unix::fs::chown(path, Some(owner + 1), None).is_ok() {
            assert_eq!(find_socket(&directory).unwrap(), None, "{} is another's", path.display());
            std::os::unix::fs::chown(path, Some(owner), None).unwrap();
        }
    }
    for note in ["", "/nowhere", "1 2\n/nowhere/tito-1/tito.sock", "\n", "\u{0}\n\u{0}"] {
        std::fs::write(directory.join("tito.sock.at"), note).unwrap();
        assert_eq!(find_socket(&directory).unwrap(), None, "{note:?}");
    }
    std::fs::write(directory.join("tito.sock.at"), b"\xff\xfe").unwrap();
    assert_eq!(find_socket(&directory).unwrap(), None);
}

#[tokio::test]
async fn what_was_left_outside_is_removed_unless_somebody_listens() {
    let place = tempfile::tempdir().unwrap();
    let (directory, folder) = (place.path().join("db"), place.path().join("tito-1"));
    let db = EmbeddedBackend::open(&directory).await.unwrap();
    let listener = noted(&directory, &folder);
    serve_local(&db).await.unwrap().stop().await;
    assert!(folder.join("tito.sock").exists() && !directory.join("tito.sock.at").exists());
    drop(listener);
    std::fs::remove_dir_all(&folder).unwrap();
    drop(noted(&directory, &folder));
    serve_local(&db).await.unwrap().stop().await;
    assert!(!folder.exists());
    db.close().await;
}

#[tokio::test]
async fn a_copy_of_a_directory_does_not_lead_to_the_original() {
    let place = tempfile::tempdir().unwrap();
    let (directory, copy) = (place.path().join("d".repeat(120)), place.path().join("copy"));
    let db = EmbeddedBackend::open(&directory).await.unwrap();
    let console = serve_local(&db).await.unwrap();
    let copied = EmbeddedBackend::open(&copy).await.unwrap();
    std::fs::copy(directory.join("tito.sock.at"), copy.join("tito.sock.at")).unwrap();
    assert_eq!(find_socket(&copy).unwrap(), None);
    let other = serve_local(&copied).await.unwrap();
    assert!(ask(console.socket().unwrap(), "/v1/topics").await.starts_with("HTTP/1.1 200"));
    assert_ne!(other.socket(), console.socket());
    other.stop().await;
    copied.close().await;
    console.stop().await;
    db.close().await;
}

#[tokio::test]
async fn a_database_without_a_directory_has_no_socket() {
    let db = EmbeddedBackend::in_memory().await.unwrap();
    let error = serve_local(&db).await.unwrap_err();
    assert!(matches!(error, ServeError::NoDirectory), "{error}");
}
