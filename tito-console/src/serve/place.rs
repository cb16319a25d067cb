//! Where the socket of a database lies: in its directory, or where a file in there says, if its path would be too long.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tito_core::embedded::{SOCKET_FILE, SOCKET_PLACE_FILE};

/// The longest path that a socket can have on every system: macOS takes 104 bytes with a zero behind it, Linux 108.
const LONGEST: usize = 103;

/// How the name of a directory for a socket begins.
const ELSEWHERE: &str = "tito-";

/// The longest text that says where a socket is.
const LONGEST_TEXT: u64 = 4_096;

/// The socket by which whoever has the database in this directory open answers: in the directory, or where a file in it
/// says. `None` where there is neither. Whether anybody listens there shows who connects.
///
/// # Errors
/// Those of reading the directory.
pub fn find_socket(directory: &Path) -> io::Result<Option<PathBuf>> {
    let inside = directory.join(SOCKET_FILE);
    if is_socket(&inside)? {
        return Ok(Some(inside));
    }
    let Some(outside) = elsewhere(directory)? else { return Ok(None) };
    Ok(is_socket(&outside)?.then_some(outside))
}

fn is_socket(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(found.file_type().is_socket()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What the file in the directory says, if it is a path that this module chooses.
fn elsewhere(directory: &Path) -> io::Result<Option<PathBuf>> {
    let file = directory.join(SOCKET_PLACE_FILE);
    let text = match fs::symlink_metadata(&file) {
        Ok(found) if found.is_file() && found.len() <= LONGEST_TEXT => fs::read_to_string(&file)?,
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let path = PathBuf::from(text);
    let is_ours = |path: &Path| {
        let folder = path.parent().and_then(Path::file_name);
        path.file_name().is_some_and(|name| name == SOCKET_FILE)
            && folder.is_some_and(|name| name.to_string_lossy().starts_with(ELSEWHERE))
    };
    Ok((path.is_absolute() && is_ours(&path)).then_some(path))
}

/// Removes what another process has left behind. Only for the holder of the database's lock, which is why nobody can be
/// listening any more.
pub(super) fn remove_stale(directory: &Path) -> io::Result<()> {
    if let Some(outside) = elsewhere(directory)?
        && is_socket(&outside)?
    {
        remove(&outside)?;
        if let Some(folder) = outside.parent() {
            // Not if anything else is in it.
            let _ = fs::remove_dir(folder);
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
        io::Write::write_all(&mut file, text.as_bytes())?;
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
