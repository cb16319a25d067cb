//! A small file system in memory, mounted for a test where that is allowed.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// A file system of its own, gone with this value.
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// None, with a note, where mounting is not allowed.
    pub fn mount(megabytes: u32) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(directory.path()).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self(directory));
        }
        println!("skipped: mounting a file system is not allowed here");
        None
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes so much space, or all that is left, with a file whose removal gives it back.
    pub fn take(&self, megabytes: usize) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.path().join("ballast")).unwrap();
        let mut pieces = megabytes * 256;
        while pieces > 0 && file.write_all(&[1; 4_096]).is_ok() {
            pieces -= 1;
        }
    }

    pub fn fill(&self) {
        self.take(usize::MAX / 256);
    }

    pub fn make_space(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}
