#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::{Directory, Faults, Modes, Operation, by_path};

fn create(path: &Path) -> Directory {
    Directory::create(path, Modes::default(), Faults::default()).unwrap()
}

#[cfg(unix)]
mod on_unix {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_renamed_directory_stays_the_one_that_was_opened() {
        let outer = tempfile::tempdir().unwrap();
        let (here, there) = (outer.path().join("here"), outer.path().join("there"));
        let directory = create(&here);
        directory.create_file("first").unwrap();
        fs::rename(&here, &there).unwrap();
        let other = create(&here);
        other.create_file("first").unwrap();

        directory.create_file("second").unwrap();
        directory.link("second", "third").unwrap();
        directory.remove("first").unwrap();
        assert_eq!(other.names().unwrap(), ["first"]);
        let mut names = directory.names().unwrap();
        names.sort();
        assert_eq!(names, ["second", "third"]);
        assert_eq!(fs::read_dir(&there).unwrap().count(), 2);
    }

    #[test]
    fn a_switched_link_changes_nothing() {
        let outer = tempfile::tempdir().unwrap();
        let link = outer.path().join("link");
        let [first, second] = ["first", "second"].map(|name| outer.path().join(name));
        let other = create(&second);
        create(&first);
        std::os::unix::fs::symlink(&first, &link).unwrap();
        let directory = create(&link);
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&second, &link).unwrap();

        directory.create_file("file").unwrap();
        assert!(other.names().unwrap().is_empty());
        assert!(first.join("file").exists());
    }

    #[test]
    fn new_directories_and_files_are_their_owners_alone() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("a/b");
        create(&path).create_file("file").unwrap();
        assert_eq!(mode_of(&outer.path().join("a")), 0o700);
        assert_eq!(mode_of(&path), 0o700);
        assert_eq!(mode_of(&path.join("file")), 0o600);

        let shared = outer.path().join("shared");
        let modes = Modes { directory: 0o750, files: 0o640 };
        Directory::create(&shared, modes, Faults::default()).unwrap().create_file("file").unwrap();
        assert_eq!(mode_of(&shared), 0o750);
        assert_eq!(mode_of(&shared.join("file")), 0o640);
    }
}

#[test]
fn each_directory_that_gets_a_new_one_is_synchronised() {
    let outer = tempfile::tempdir().unwrap();
    let faults = Faults::default();
    let synchronised = Arc::new(Mutex::new(Vec::new()));
    faults.set({
        let synchronised = synchronised.clone();
        move |operation, name| {
            if operation == Operation::SyncDirectory {
                synchronised.lock().unwrap().push(name.to_string());
            }
            Ok(())
        }
    });
    let path = outer.path().join("a/b/c");
    Directory::create(&path, Modes::default(), faults.clone()).unwrap();
    let expected =
        ["", "a", "a/b"].map(|parent| outer.path().join(parent).to_string_lossy().trim_end_matches('/').to_string());
    assert_eq!(*synchronised.lock().unwrap(), expected);
    // What is there needs none.
    Directory::create(&path, Modes::default(), faults).unwrap();
    assert_eq!(synchronised.lock().unwrap().len(), 3);
}

#[test]
fn a_file_is_never_created_over_another() {
    let outer = tempfile::tempdir().unwrap();
    let directory = create(outer.path());
    fs::write(outer.path().join("file"), b"theirs").unwrap();
    assert!(directory.create_file("file").is_err());
    assert_eq!(fs::read(outer.path().join("file")).unwrap(), b"theirs");
}

#[test]
fn by_path_a_renamed_directory_is_noticed_and_left_alone() {
    let outer = tempfile::tempdir().unwrap();
    let (here, there) = (outer.path().join("here"), outer.path().join("there"));
    fs::create_dir(&here).unwrap();
    let handle = by_path::Handle::open(&here).unwrap();
    drop(handle.create_file("file", 0o600).unwrap());
    assert_eq!(handle.names().unwrap(), ["file"]);
    fs::rename(&here, &there).unwrap();
    assert!(handle.create_file("other", 0o600).is_err(), "nothing is there");
    fs::create_dir(&here).unwrap();
    fs::write(here.join("file"), b"theirs").unwrap();
    assert!(handle.remove("file").is_err());
    assert!(handle.open_file("file", true).is_err());
    assert!(handle.link("file", "other").is_err());
    assert!(handle.length_of("file").is_err());
    assert!(handle.names().is_err());
    assert!(handle.sync().is_err());
    assert_eq!(fs::read(here.join("file")).unwrap(), b"theirs");
}

#[test]
fn a_name_is_that_of_the_open_file_or_of_another() {
    let outer = tempfile::tempdir().unwrap();
    let directory = create(outer.path());
    let handle = by_path::Handle::open(outer.path()).unwrap();
    let file = directory.create_file("file").unwrap();
    directory.create_file("other").unwrap();
    for (name, expected) in [("file", true), ("other", false), ("none", false)] {
        assert_eq!(directory.is_name_of(name, &file).unwrap(), expected, "{name}");
        assert_eq!(handle.is_name_of(name, file.file()).unwrap(), expected, "{name}");
    }
    directory.remove("file").unwrap();
    directory.create_file("file").unwrap();
    assert!(!directory.is_name_of("file", &file).unwrap(), "the same name, another file");
}

#[test]
fn a_file_is_no_directory() {
    let outer = tempfile::tempdir().unwrap();
    let path = outer.path().join("file");
    fs::write(&path, b"mine").unwrap();
    let error = Directory::create(&path, Modes::default(), Faults::default()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotADirectory);
    assert_eq!(by_path::Handle::open(&path).err().unwrap().kind(), std::io::ErrorKind::NotADirectory);
}
