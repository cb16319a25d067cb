//! A file that has its name once it is whole.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::fs::{File, OpenOptions};

use crate::failure::{Failure, Kind, Result};

/// A file that is being written beside the one that it is to become. Removed when it is dropped before that, also where the
/// command is interrupted.
pub(crate) struct Part {
    part: PathBuf,
    path: PathBuf,
    file: Option<File>,
}

impl Part {
    /// For its owner alone: everything that a database has is in it.
    pub(crate) async fn create(path: &Path, replaces: bool) -> Result<Self> {
        if !replaces && path.exists() {
            return Err(Failure::new(Kind::Failed, format!("{} exists; --force replaces it", path.display())));
        }
        let name = path.file_name().ok_or_else(|| Failure::usage(format!("{} names no file", path.display())))?;
        let part = path.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        options.mode(0o600);
        let file = options
            .open(&part)
            .await
            .map_err(|error| Failure::io(format!("{} can't be written", part.display()), error))?;
        Ok(Self { part, path: path.to_path_buf(), file: Some(file) })
    }

    pub(crate) fn file(&mut self) -> &mut File {
        self.file.as_mut().expect("it is given up by `finish` alone, which takes all of it")
    }

    /// Where it is written meanwhile.
    pub(crate) fn part(&self) -> &Path {
        &self.part
    }

    /// Makes it durable and gives it its name.
    pub(crate) async fn finish(mut self) -> Result<()> {
        let file = self.file.take();
        let failed = |error| Failure::io(format!("{} can't be finished", self.path.display()), error);
        if let Some(file) = file {
            file.sync_all().await.map_err(failed)?;
        }
        tokio::fs::rename(&self.part, &self.path).await.map_err(failed)?;
        #[cfg(unix)]
        if let Some(directory) = self.path.parent() {
            let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
            File::open(directory).await.map_err(failed)?.sync_all().await.map_err(failed)?;
        }
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.file = None;
        match fs::remove_file(&self.part) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.part.display(), %error, "what was written of a backup can't be removed");
            }
            _ => {}
        }
    }
}
