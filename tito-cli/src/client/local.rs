//! The socket of an application that has a directory open.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

use crate::failure::{Failure, Kind, Result};

/// The socket of an application that has a directory open.
#[derive(Debug)]
pub(crate) struct LocalSocket {
    path: PathBuf,
    /// Who may be at the other end: the owner of the directory, whoever runs this program, and root.
    trusted: [u32; 3],
}

impl LocalSocket {
    /// The socket at a path that a directory names. It may lie where other users can put sockets too.
    pub(crate) fn of(directory: &Path, path: PathBuf) -> Result<Self> {
        let failed = |error| Failure::io(format!("{} can't be read", directory.display()), error);
        let owner = fs::metadata(directory).map_err(failed)?.uid();
        Ok(Self { path, trusted: [owner, rustix::process::geteuid().as_raw(), 0] })
    }

    /// Connects, if an application listens.
    pub(crate) async fn try_connect(&self) -> Result<Option<UnixStream>> {
        match self.connect_trusting().await {
            Ok(stream) => Ok(Some(stream)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(self.refused(error)),
            Err(_) => Ok(None),
        }
    }

    /// Connects to the application.
    pub(crate) async fn connect(&self) -> Result<UnixStream> {
        self.connect_trusting().await.map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => self.refused(error),
            _ => {
                let message = format!("the application at {} can't be reached", self.path.display());
                Failure::new(Kind::Unavailable, message).because(error)
            }
        })
    }

    async fn connect_trusting(&self) -> io::Result<UnixStream> {
        let stream = UnixStream::connect(&self.path).await?;
        let user = stream.peer_cred()?.uid();
        if self.trusted.contains(&user) {
            return Ok(stream);
        }
        let reason = format!("the user {user} listens there, to whom the directory does not belong");
        Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
    }

    fn refused(&self, error: io::Error) -> Failure {
        Failure::new(Kind::Refused, format!("{} is another user's", self.path.display())).because(error)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn another_users_socket_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("tito.sock");
        let _listener = tokio::net::UnixListener::bind(&path).unwrap();
        let socket = LocalSocket::of(place.path(), path.clone()).unwrap();
        assert!(socket.try_connect().await.unwrap().is_some());
        // As it would be if nobody had a right to listen.
        let socket = LocalSocket { path, trusted: [u32::MAX; 3] };
        assert_eq!(socket.try_connect().await.unwrap_err().kind, Kind::Refused);
        assert_eq!(socket.connect().await.unwrap_err().kind, Kind::Refused);
    }
}
