//! The words of `docs/glossary.md`: those that it retires stay away, and a name that is seen beyond its module is given
//! once in a crate.
#![allow(missing_docs, clippy::unwrap_used)]

mod repository;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use repository::{files, root};

/// Named so in every Rust crate.
const EVERYWHERE: [&str; 1] = ["Result"];

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// A text as words with single spaces round them: `holdings.hold_up()` and `// holds\n// up` can be compared with words.
fn words(text: &str) -> String {
    let mut words = String::from(" ");
    for word in text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()) {
        words.push_str(&word.to_lowercase());
        words.push(' ');
    }
    words
}

fn retired() -> Vec<(String, String)> {
    let glossary = fs::read_to_string(root().join("docs/glossary.md")).unwrap();
    let (_, table) = glossary.split_once("| not | but |").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    rows.map(|(not, but)| (not.to_string(), but.to_string())).collect()
}

#[test]
fn retired_words_do_not_come_back() {
    let retired = retired();
    assert!(retired.len() > 10, "{retired:?}");
    let mut found = Vec::new();
    for path in files(&root(), &["rs", "md"]) {
        // The one says which words they are, the other what they were, and this file has examples.
        if ["docs/glossary.md", "CHANGELOG.md", "tito-testkit/tests/vocabulary.rs"].contains(&shown(&path).as_str()) {
            continue;
        }
        let text = words(&shown(&path)) + &words(&fs::read_to_string(&path).unwrap());
        let uses = retired.iter().filter(|(not, _)| text.contains(&format!(" {not} ")));
        found.extend(uses.map(|(not, but)| format!("{}: {not:?}, say {but:?}", shown(&path))));
    }
    assert!(found.is_empty(), "retired by docs/glossary.md:\n{}", found.join("\n"));
}

/// The name that a line declares, if it is seen beyond its module's parent.
fn declared(line: &str) -> Option<&str> {
    let (visibility, rest) = line.strip_prefix("pub")?.split_once(' ')?;
    if !["", "(crate)"].contains(&visibility) {
        return None;
    }
    let (kind, rest) = rest.split_once(' ')?;
    if !["struct", "enum", "trait", "type"].contains(&kind) {
        return None;
    }
    rest.split(|letter: char| !letter.is_alphanumeric()).next()
}

#[test]
fn a_name_is_given_once() {
    let mut doubled = Vec::new();
    let mut of_users: BTreeMap<String, String> = BTreeMap::new();
    for member in ["tito-core", "tito-worker", "tito-eventstore", "tito-testkit", "tito-tikv", "tito-mock-tikv"] {
        let mut known: BTreeMap<String, String> = BTreeMap::new();
        for path in files(&root().join(member).join("src"), &["rs"]) {
            let text = fs::read_to_string(&path).unwrap();
            let names: BTreeSet<_> =
                text.lines().filter_map(declared).filter(|name| !EVERYWHERE.contains(name)).collect();
            for name in names {
                if let Some(first) = known.insert(name.to_string(), shown(&path)) {
                    doubled.push(format!("{name}: {first} and {}", shown(&path)));
                }
            }
            // What users have in hand together.
            if ["tito-core", "tito-worker", "tito-eventstore"].contains(&member) {
                for line in text.lines().filter(|line| line.starts_with("pub ")) {
                    let Some(name) = declared(line).filter(|name| !EVERYWHERE.contains(name)) else { continue };
                    match of_users.insert(name.to_string(), member.to_string()) {
                        Some(other) if other != member => doubled.push(format!("{name}: in {other} and in {member}")),
                        _ => {}
                    }
                }
            }
        }
    }
    assert!(doubled.is_empty(), "one name for two things:\n{}", doubled.join("\n"));
}
