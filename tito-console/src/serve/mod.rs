//! Listeners of Tito's own, and the handle by which they are owned.
//!
//! | file | idea |
//! |---|---|
//! | `listen` | connections accepted, served, and ended |
//! | `loopback` | a port of the loopback interface, and who may not use it |
//! | `socket` | a Unix socket for the owner of the database alone |
//! | `place` | where that socket lies |

mod listen;
mod loopback;
#[cfg(unix)]
mod place;
#[cfg(unix)]
mod socket;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::sync::watch;
use tokio::task::JoinHandle;

#[cfg(unix)]
pub use self::place::find_socket;
#[cfg(unix)]
pub use self::socket::serve_local;

/// The API, served by Tito's own listener until it is [stopped](Serving::stop) or the database is closed. Dropping it
/// also stops it, without waiting for requests under way.
#[must_use = "dropping it stops it"]
pub struct Serving {
    at: At,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

#[derive(Clone, Debug)]
enum At {
    Loopback(SocketAddr),
    #[cfg(unix)]
    Socket {
        socket: PathBuf,
        directory: PathBuf,
    },
}

impl Serving {
    /// The address, for a listener on the loopback interface.
    pub fn address(&self) -> Option<SocketAddr> {
        match self.at {
            At::Loopback(address) => Some(address),
            #[cfg(unix)]
            At::Socket { .. } => None,
        }
    }

    /// The path, for a Unix socket.
    pub fn socket(&self) -> Option<&Path> {
        match &self.at {
            At::Loopback(_) => None,
            #[cfg(unix)]
            At::Socket { socket, .. } => Some(socket),
        }
    }

    /// A command to try in a terminal, which asks this server something.
    pub fn command(&self) -> String {
        match &self.at {
            At::Loopback(address) => format!("curl http://{address}/v1/topics"),
            #[cfg(unix)]
            At::Socket { directory, .. } => {
                // In single quotes a shell takes everything as it is.
                format!("tito --db 'file:{}' topics", directory.display().to_string().replace('\'', r"'\''"))
            }
        }
    }

    /// Stops it: accepts no more connections, gives requests under way up to five seconds to end, and waits for that.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take() {
            // It has ended, be it by a panic, which is logged where it happened.
            let _ = task.await;
        }
    }

    fn new(at: At, task: impl FnOnce(watch::Receiver<bool>) -> JoinHandle<()>) -> Self {
        let (stop, stopped) = watch::channel(false);
        Self { at, stop, task: Some(task(stopped)) }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").field("at", &self.at).finish_non_exhaustive()
    }
}
