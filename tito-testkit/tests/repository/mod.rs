//! The files of the repository.
#![allow(unreachable_pub)]

use std::fs;
use std::path::{Path, PathBuf};

/// Where the repository begins.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Files below a directory with one of the extensions, without what is built or hidden.
pub fn files(below: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![below.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with('.') || name == "target" {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|of| extensions.iter().any(|one| of == *one)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
