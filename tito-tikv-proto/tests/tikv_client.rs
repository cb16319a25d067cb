//! The messages compared with those that `tikv-client` 0.4 was generated with, so that a wrong number in our own files
//! does not go unnoticed between a client and a cluster that share them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod generated;

use std::path::{Path, PathBuf};

use generated::Sources;

const PACKAGES: [&str; 10] = [
    "coprocessor",
    "deadlock",
    "encryptionpb",
    "errorpb",
    "keyspacepb",
    "kvrpcpb",
    "metapb",
    "pdpb",
    "tikvpb",
    "tracepb",
];

/// The generated sources of the client where they are at hand: in cargo's folder, as it is a dependency of another crate.
fn theirs() -> Option<Sources> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let crates = std::fs::read_dir(home.join("registry/src")).ok()?.flatten();
    let folder = crates.map(|registry| registry.path().join("tikv-client-0.4.0/src/generated"));
    let folder = folder.into_iter().find(|folder| folder.is_dir());
    if folder.is_none() {
        println!("skipped: the sources of tikv-client 0.4 are not at hand");
    }
    Some(Sources::read(&folder?, &PACKAGES))
}

fn ours() -> Sources {
    Sources::read(Path::new(env!("OUT_DIR")), &PACKAGES)
}

#[test]
fn messages_have_the_fields_numbers_and_types_that_tikv_client_has() {
    let (Some(theirs), ours) = (theirs(), ours()) else { return };
    let mut wrong = Vec::new();
    let mut compared = 0;
    for ((message, number), their) in
        theirs.fields.iter().filter(|((message, _), _)| ours.messages.contains_key(message))
    {
        match ours.fields.get(&(message.clone(), *number)) {
            Some(our) if our.name == their.name && our.kind == their.kind => compared += 1,
            our => wrong.push(format!("{message} {number} is {our:?}, and there {their:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{compared} fields are the same");
    assert!(compared > 800, "{compared}");
}

#[test]
fn enumerations_have_the_values_that_tikv_client_has() {
    let (Some(theirs), ours) = (theirs(), ours()) else { return };
    let mut compared = 0;
    for ((name, number), value) in theirs.values.iter().filter(|((name, _), _)| ours.enumerations.contains_key(name)) {
        let our = ours.values.get(&(name.clone(), *number)).map(|value| &value.name);
        assert_eq!(our, Some(&value.name), "{name} {number}");
        compared += 1;
    }
    println!("{compared} values are the same");
    assert!(compared > 70, "{compared}");
}

#[test]
fn calls_have_the_paths_and_messages_that_tikv_client_has() {
    let (Some(theirs), ours) = (theirs(), ours()) else { return };
    let mut compared = 0;
    for (path, signature) in &ours.calls {
        if let Some(their) = theirs.calls.get(path) {
            assert_eq!(signature, their, "{path}");
            compared += 1;
        } else {
            // A newer call has a newer message.
            let is_new =
                ours.messages.keys().filter(|message| !theirs.messages.contains_key(*message)).any(|message| {
                    message.rsplit("::").next().is_some_and(|name| signature.contains(&format!("::{name}>")))
                });
            assert!(is_new, "{path} is not there");
        }
    }
    println!("{compared} calls are the same");
    assert!(compared > 45, "{compared}");
}

#[test]
fn what_tikv_client_does_not_know_says_since_when_it_is_there() {
    let (Some(theirs), ours) = (theirs(), ours()) else { return };
    let says =
        |comment: &str| comment.to_lowercase().contains("since") && comment.contains(|c: char| c.is_ascii_digit());
    let mut silent = Vec::new();
    for (message, comment) in &ours.messages {
        if !theirs.messages.contains_key(message) && !says(comment) {
            silent.push(message.clone());
        }
    }
    for ((message, number), field) in &ours.fields {
        let is_new = !theirs.fields.contains_key(&(message.clone(), *number));
        if is_new && !says(&field.comment) && !says(&ours.messages[message]) {
            silent.push(format!("{message}.{}", field.name));
        }
    }
    for ((name, number), value) in &ours.values {
        let is_new = !theirs.values.contains_key(&(name.clone(), *number));
        if is_new && !says(&value.comment) && !says(&ours.enumerations[name]) {
            silent.push(format!("{name}::{}", value.name));
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
fn every_message_and_enumeration_says_what_it_is() {
    let ours = ours();
    let explained =
        |comment: &str| comment.trim_matches('"').split("Since").next().is_some_and(|words| words.len() > 4);
    let silent = ours.messages.iter().chain(&ours.enumerations).filter(|(_, comment)| !explained(comment));
    assert_eq!(silent.map(|(name, _)| name).collect::<Vec<_>>(), Vec::<&String>::new());
}
