//! A Unix socket for the owner of the database alone.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tito_core::Database;
use tito_core::embedded::EmbeddedBackend;
use tokio::net::{UnixListener, UnixStream};

use super::listen::{Listen, serve};
use super::place::{Place, remove_stale};
use super::{At, Serving};
use crate::access::{Access, Who};
use crate::api::Role;
use crate::builder::{Console, ConsoleBuilder, Unguarded};
use crate::error::ServeError;

/// Serves the API of an embedded database on a socket in its directory, with the defaults: see
/// [`ConsoleBuilder::serve_local`].
///
/// ```
/// # use tito_core::prelude::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let place = tempfile::tempdir()?;
/// # let db = EmbeddedBackend::open(place.path().join("db")).await?;
/// let console = tito_console::serve_local(&db).await?;
/// println!("try: {}", console.command());
/// // Until the application ends:
/// console.stop().await;
/// # db.close().await;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Those of [`ConsoleBuilder::serve_local`].
pub async fn serve_local(database: &Database) -> Result<Serving, ServeError> {
    Console::of(database).serve_local().await
}

/// Whether a process serves a database already.
#[derive(Debug, Default)]
struct Served(Arc<AtomicBool>);

/// Gives it back when it is dropped.
struct Turn(Arc<AtomicBool>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl ConsoleBuilder<Unguarded> {
    /// Serves the API of an embedded database on the socket `tito.sock` in its directory, for the user of this process
    /// and root, who may do everything. The socket's mode is 0600, and the operating system says who connects. The
    /// command line finds it through the directory. Leftovers of an earlier process are removed.
    ///
    /// If its path is too long for a socket (103 bytes), it is in a directory of its own below `XDG_RUNTIME_DIR`, or
    /// the one for temporary files, and the file `tito.sock.at` in the database's directory says where.
    ///
    /// # Errors
    /// [`ServeError::NoDirectory`] for a database that is in memory, or on a cluster; [`ServeError::AlreadyServed`];
    /// [`ServeError::Io`].
    pub async fn serve_local(self) -> Result<Serving, ServeError> {
        let database = self.database().clone();
        let directory = database.backend::<EmbeddedBackend>().and_then(EmbeddedBackend::directory);
        let directory = directory.ok_or(ServeError::NoDirectory)?.to_path_buf();
        let served = database.shared().value::<Served>().0.clone();
        if served.swap(true, Ordering::AcqRel) {
            return Err(ServeError::AlreadyServed { directory });
        }
        let turn = Turn(served);
        let failed = |source: io::Error| ServeError::Io { directory: directory.clone(), source: source.into() };
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        remove_stale(&directory).await.map_err(failed)?;
        let local = bind(directory.clone(), runtime, turn).map_err(failed)?;
        let at = At::Socket { socket: local.place.socket.clone(), directory };
        let router = self.routes(|_| Access::Listener);
        Ok(Serving::new(at, |stopped| tokio::spawn(serve(local, router, database, stopped))))
    }
}

/// A few short calls, which are not worth a thread of their own.
fn bind(directory: PathBuf, runtime: Option<PathBuf>, turn: Turn) -> io::Result<Local> {
    let mut place = Place::choose(&directory, runtime)?;
    let listener = UnixListener::bind(&place.socket)?;
    let owner = place.made()?;
    fs::set_permissions(&place.socket, fs::Permissions::from_mode(0o600))?;
    Ok(Local { listener, owner, place, _turn: turn })
}

struct Local {
    // Closed before its file is removed.
    listener: UnixListener,
    owner: u32,
    place: Place,
    _turn: Turn,
}

impl Listen for Local {
    type Stream = UnixStream;

    async fn accept(&mut self) -> io::Result<Option<(UnixStream, Who)>> {
        let (stream, _) = self.listener.accept().await?;
        let peer = stream.peer_cred()?;
        if peer.uid() != self.owner && peer.uid() != 0 {
            tracing::warn!(uid = peer.uid(), socket = %self.place.socket.display(), "another user was turned away");
            return Ok(None);
        }
        Ok(Some((stream, Who { name: user(peer.uid()), role: Role::Destroy })))
    }
}

/// The name of a user, as far as the system's file has it, else the number.
fn user(uid: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_string())
    });
    named.unwrap_or_else(|| format!("uid {uid}"))
}
