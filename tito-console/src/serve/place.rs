//! Where the socket of a database lies: in its directory, or where a file in there says, if its path would be too long.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tito_core::embedded::{SOCKET_FILE, SOCKET_PLACE_FILE};
use tokio::net::UnixStream;

/// The longest path that a socket can have on every system: macOS takes 104 bytes with a zero behind it, Linux 108.
const LONGEST: usize = 103;

/// How the name of a directory for a socket begins.
const ELSEWHERE: &str = "tito-";

/// The longest text that says where a socket is.
const LONGEST_TEXT: u64 = 4_096;

/// The socket of the process that has the database in this directory open: in the directory, or where a file in it
/// says, if the socket and its folder belong to the user who wrote that file for this directory. `None` if there is
/// neither. Only connecting shows whether anybody listens there.
///
/// # Errors
/// Those of reading the directory.
pub fn find_socket(directory: &Path) -> io::Result<Option<PathBuf>> {
    let inside = directory.join(SOCKET_FILE);
    if is_socket(&inside)? {
        return Ok(Some(inside));
    }
    elsewhere(directory)
}

fn is_socket(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(found.file_type().is_socket()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What the file in the directory says, if this module has written it for this directory, and what it names belongs to whoever
/// has written it and to nobody else. Anybody can make a folder of some name where temporary files are.
fn elsewhere(directory: &Path) -> io::Result<Option<PathBuf>> {
    let file = directory.join(SOCKET_PLACE_FILE);
    let (note, bytes) = match fs::symlink_metadata(&file) {
        Ok(found) if found.is_file() && found.len() <= LONGEST_TEXT => (found, fs::read(&file)?),
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8(bytes).unwrap_or_default();
    let Some((identity, path)) = text.split_once('\n') else { return Ok(None) };
    // One that came with a copy of a directory leads to whoever has the original open.
    if identity != identity_of(directory)? {
        return Ok(None);
    }
    let path = PathBuf::from(path);
    let folder = path.parent().and_then(Path::file_name);
    let is_ours = path.is_absolute()
        && path.file_name().is_some_and(|name| name == SOCKET_FILE)
        && folder.is_some_and(|name| name.to_string_lossy().starts_with(ELSEWHERE));
    Ok((is_ours && is_only_of(&path, note.uid())?).then_some(path))
}

/// Which directory it is, whatever it is called: no copy has the same device and inode.
fn identity_of(directory: &Path) -> io::Result<String> {
    let found = fs::metadata(directory)?;
    Ok(format!("{} {}", found.dev(), found.ino()))
}

/// Whether a socket and its folder belong to a user, and the folder lets nobody else in.
fn is_only_of(socket: &Path, user: u32) -> io::Result<bool> {
    let Some(folder) = socket.parent() else { return Ok(false) };
    let look = |path: &Path| match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    };
    let (Some(folder), Some(socket)) = (look(folder)?, look(socket)?) else { return Ok(false) };
    let is_closed = folder.is_dir() && folder.mode() & 0o077 == 0;
    Ok(is_closed && folder.uid() == user && socket.file_type().is_socket() && socket.uid() == user)
}

/// Removes what another process has left behind. Only for the holder of the database's lock, which is why nobody can be
/// listening any more; of what is outside of its directory that is tried out.
pub(super) async fn remove_stale(directory: &Path) -> io::Result<()> {
    if let Some(outside) = elsewhere(directory)? {
        match UnixStream::connect(&outside).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                remove(&outside)?;
                if let Some(folder) = outside.parent() {
                    // Not if anything else is in it.
                    let _ = fs::remove_dir(folder);
                }
            }
            _ => tracing::warn!(socket = %outside.display(), "somebody else seems to listen there: it is left alone"),
        }
    }
    remove(&directory.join(SOCKET_PLACE_FILE))?;
    let inside = directory.join(SOCKET_FILE);
    if is_socket(&inside)? { remove(&inside) } else { Ok(()) }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Where a socket is to be, and what goes with it. Dropped, all of it is removed, unless it is another's by then.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) socket: PathBuf,
    /// The file that says where it is.
    note: Option<PathBuf>,
    /// The directory that was made for it.
    folder: Option<PathBuf>,
    /// Which socket it is, once it is there.
    inode: Option<(u64, u64)>,
}

impl Place {
    /// In the database's directory, or below the runtime directory, or that for temporary files.
    pub(super) fn choose(directory: &Path, runtime: Option<PathBuf>) -> io::Result<Self> {
        let socket = directory.join(SOCKET_FILE);
        if socket.as_os_str().len() <= LONGEST {
            return Ok(Self { socket, note: None, folder: None, inode: None });
        }
        let name = format!("{ELSEWHERE}{}", uuid::Uuid::new_v4().simple());
        let places = runtime.into_iter().chain([std::env::temp_dir()]);
        let mut folders = places.filter(|place| place.is_absolute()).map(|place| place.join(&name));
        let fits = |folder: &PathBuf| folder.join(SOCKET_FILE).as_os_str().len() <= LONGEST;
        let Some(folder) = folders.find(fits) else {
            let reason = format!("{} is too long a path for a socket, and so is every fallback", socket.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        };
        let socket = folder.join(SOCKET_FILE);
        // A name that nobody can guess, and an error if somebody has: what is in it then is not ours.
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let note = directory.join(SOCKET_PLACE_FILE);
        let place = Self { socket, note: Some(note.clone()), folder: Some(folder), inode: None };
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(note)?;
        let text = place.socket.to_str().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "the path of the runtime directory is not UTF-8")
        })?;
        io::Write::write_all(&mut file, format!("{}\n{text}", identity_of(directory)?).as_bytes())?;
        Ok(place)
    }

    /// Remembers which socket was made, and says whose it is: its user's id.
    pub(super) fn made(&mut self) -> io::Result<u32> {
        let found = fs::symlink_metadata(&self.socket)?;
        self.inode = Some((found.dev(), found.ino()));
        Ok(found.uid())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let is_still_ours = match (self.inode, fs::symlink_metadata(&self.socket)) {
            (Some(inode), Ok(found)) => inode == (found.dev(), found.ino()),
            (None, _) => true,
            (Some(_), Err(_)) => false,
        };
        if !is_still_ours {
            return;
        }
        for file in [self.inode.map(|_| &self.socket), self.note.as_ref()].into_iter().flatten() {
            if let Err(error) = remove(file) {
                tracing::warn!(%error, path = %file.display(), "what belongs to a socket could not be removed");
            }
        }
        if let Some(folder) = &self.folder {
            // Not if anything else is in it.
            let _ = fs::remove_dir(folder);
        }
    }
}
