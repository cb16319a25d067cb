//! Every link of the documents leads somewhere: files and headings within the repository by their relative paths, or by
//! its address where a document is read outside of it. Links to elsewhere are checked for their form alone, as nothing
//! here needs a network.
#![allow(missing_docs, clippy::unwrap_used)]

mod repository;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use repository::root;

/// Where the repository is read from outside of it.
const ADDRESS: &str = "https://github.com/tito-rs/tito/blob/main/";

/// The files with an extension, by their paths below the root.
fn files(extension: &str) -> Vec<PathBuf> {
    let files = repository::files(&root(), &[extension]).into_iter();
    files.map(|path| path.strip_prefix(root()).unwrap().to_path_buf()).collect()
}

/// The lines outside of blocks of code, with their numbers.
fn prose(text: &str) -> Vec<(usize, String)> {
    let (mut prose, mut fence) = (Vec::new(), None);
    for (number, line) in text.lines().enumerate() {
        let ticks = line.trim_start();
        match fence {
            None if ticks.starts_with("```") => fence = Some("```"),
            Some(end) if ticks.starts_with(end) => fence = None,
            None => prose.push((number + 1, line.to_string())),
            Some(_) => {}
        }
    }
    prose
}

/// A line without what is between backticks.
fn without_code(line: &str) -> String {
    line.split('`').enumerate().filter(|(index, _)| index % 2 == 0).map(|(_, text)| text).collect::<Vec<_>>().join("`")
}

/// The targets of the links in a line: `[text](target)` and `[text]: target`.
fn targets(line: &str) -> Vec<String> {
    let line = without_code(line);
    let mut targets: Vec<String> =
        line.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_string())).collect();
    if let Some((name, target)) = line.trim_start().split_once("]: ")
        && name.starts_with('[')
        && !name.contains(']')
    {
        targets.push(target.trim().to_string());
    }
    targets
}

/// The anchors of a document's headings, as they are made of their texts where the repository is read.
fn anchors(text: &str) -> BTreeSet<String> {
    let (mut anchors, mut times) = (BTreeSet::new(), BTreeMap::<String, u32>::new());
    for (_, line) in prose(text) {
        let Some(heading) = line.strip_prefix('#').map(|rest| rest.trim_start_matches('#')) else { continue };
        let Some(heading) = heading.strip_prefix(' ') else { continue };
        // Of a link, its text.
        let mut parts = heading.split("](");
        let mut shown = parts.next().unwrap().to_string();
        shown.extend(parts.map(|part| part.split_once(')').map_or(part, |(_, rest)| rest)));
        let slug: String = shown
            .trim()
            .to_lowercase()
            .chars()
            .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter))
            .map(|letter| if letter == ' ' { '-' } else { letter })
            .collect();
        let before = times.entry(slug.clone()).or_default();
        anchors.insert(if *before == 0 { slug.clone() } else { format!("{slug}-{before}") });
        *before += 1;
    }
    anchors
}

/// A path without `.` and `..`, or nothing if it leads out of the repository.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => normal.pop().then_some(())?,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(normal)
}

/// What is wrong with a link within the repository.
fn wrong_within(from: &Path, target: &str) -> Option<String> {
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let path = if path.is_empty() { Some(from.to_path_buf()) } else { normal(&from.parent().unwrap().join(path)) };
    let Some(path) = path else { return Some("leads out of the repository".to_string()) };
    if !root().join(&path).exists() {
        return Some(format!("there is no {}", path.display()));
    }
    let anchor = anchor?;
    let text = fs::read_to_string(root().join(&path)).unwrap_or_default();
    (!anchors(&text).contains(anchor)).then(|| format!("{} has no heading #{anchor}", path.display()))
}

/// What is wrong with a link to elsewhere.
fn wrong_elsewhere(target: &str) -> Option<String> {
    let host = target.strip_prefix("https://")?.split(['/', '#']).next().unwrap();
    let is_host =
        host.contains('.') && host.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-".contains(letter));
    let is_plain = !target.contains(char::is_whitespace);
    (!is_host || !is_plain).then(|| "is no address".to_string())
}

fn wrong(from: &Path, target: &str) -> Option<String> {
    if let Some(path) = target.strip_prefix(ADDRESS) {
        return wrong_within(Path::new("README.md"), path);
    }
    if target.starts_with("http:") {
        return Some("is not by https".to_string());
    }
    if target.starts_with("https:") { wrong_elsewhere(target) } else { wrong_within(from, target) }
}

/// Whether a document is read outside of the repository too, where relative links lead nowhere: the front page of a crate.
fn is_read_outside(path: &Path) -> bool {
    path.file_name().unwrap() == "README.md"
        && path
            .parent()
            .is_some_and(|crate_| root().join(crate_).join("Cargo.toml").exists() && crate_ != Path::new(""))
}

#[test]
fn links_of_documents_lead_somewhere() {
    let (mut links, mut found) = (0, Vec::new());
    for path in files("md") {
        for (number, line) in prose(&fs::read_to_string(root().join(&path)).unwrap()) {
            for target in targets(&line) {
                links += 1;
                let outside = is_read_outside(&path) && !target.starts_with("https:") && !target.starts_with('#');
                let wrong = if outside { Some(format!("say {ADDRESS}…")) } else { wrong(&path, &target) };
                found.extend(wrong.map(|wrong| format!("{}:{number}: {target}: {wrong}", path.display())));
            }
        }
    }
    assert!(links > 200, "only {links} links were found");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// What leads to an item is checked by rustdoc.
#[test]
fn links_of_code_lead_somewhere() {
    let mut found = Vec::new();
    for path in files("rs") {
        if path == Path::new("tito-testkit/tests/links.rs") {
            continue;
        }
        let text = fs::read_to_string(root().join(&path)).unwrap();
        for (number, line) in text.lines().enumerate() {
            let Some(line) = ["//!", "///"].iter().find_map(|comment| line.trim_start().strip_prefix(comment)) else {
                continue;
            };
            for target in targets(line) {
                let is_file = target.contains('/') || target.ends_with(".md");
                let is_address = target.starts_with("http");
                let wrong =
                    if is_address { wrong(&path, &target) } else { is_file.then(|| format!("say {ADDRESS}…")) };
                found.extend(wrong.map(|wrong| format!("{}:{}: {target}: {wrong}", path.display(), number + 1)));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Every page of the guide is in its index, and its programs are compiled.
#[test]
fn pages_of_the_guide_are_found() {
    let index = fs::read_to_string(root().join("docs/guide/README.md")).unwrap();
    let compiled = fs::read_to_string(root().join("examples/lib.rs")).unwrap();
    let pages = files("md").into_iter().filter(|path| path.starts_with("docs/guide"));
    let names: Vec<String> = pages.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names.iter().filter(|name| *name != "README.md") {
        assert!(index.contains(&format!("]({name}")), "docs/guide/README.md does not name {name}");
        let has_programs = fs::read_to_string(root().join("docs/guide").join(name)).unwrap().contains("```rust");
        let is_compiled = compiled.contains(&format!("docs/guide/{name}\""));
        assert!(is_compiled || !has_programs, "examples/lib.rs does not compile {name}");
    }
}

/// Every program that the documents tell people to run is run with the other checks.
#[test]
fn programs_that_documents_name_are_run() {
    let checks = fs::read_to_string(root().join(".ci/run")).unwrap();
    let mut names = BTreeSet::new();
    for path in files("md").into_iter().filter(|path| path == Path::new("README.md") || path.starts_with("docs/guide"))
    {
        let text = fs::read_to_string(root().join(path)).unwrap();
        for line in text.lines().filter(|line| line.contains("cargo run")) {
            let words: Vec<&str> =
                line.split(|letter: char| letter.is_whitespace() || "`)(,;".contains(letter)).collect();
            names.extend(
                words
                    .windows(2)
                    .filter(|pair| ["--example", "--bin"].contains(&pair[0]))
                    .map(|pair| pair[1].to_string()),
            );
        }
    }
    assert!(names.len() > 4, "{names:?}");
    for name in names {
        assert!(checks.contains(&format!("/{name}\"")), ".ci/run does not run {name}");
    }
}

#[test]
fn what_is_wrong_is_found() {
    let from = Path::new("docs/design.md");
    assert_eq!(targets("see [a](b.md#c), `[not](this)` and [d](https://e.org/)"), ["b.md#c", "https://e.org/"]);
    assert_eq!(targets("[name]: ../tito-core/src/lib.rs"), ["../tito-core/src/lib.rs"]);
    assert!(anchors("# One `two`, three!\n```\n# no\n```\n## A\n## A\n").iter().eq(["a", "a-1", "one-two-three"]));
    assert_eq!(wrong(from, "format.md"), None);
    assert_eq!(wrong(from, "design.md#what-is-weak"), None);
    assert_eq!(wrong(from, &format!("{ADDRESS}docs/design.md#what-is-weak")), None);
    assert!(wrong(from, "nowhere.md").is_some());
    assert!(wrong(from, "../../elsewhere").is_some());
    assert!(wrong(from, "#no-heading").is_some());
    assert!(wrong(from, &format!("{ADDRESS}nowhere.md")).is_some());
    assert!(wrong(from, "https://no host/").is_some());
}

/// Each was written from a fault that a test makes happen.
#[test]
fn runbooks_name_tests_that_there_are() {
    let page = fs::read_to_string(root().join("docs/operations/runbooks.md")).unwrap();
    let mut wrong = Vec::new();
    for section in page.split("\n## ").skip(1) {
        let name = section.lines().next().unwrap();
        let mut named = 0;
        for (test, rest) in section.split("[`").skip(1).filter_map(|link| link.split_once("`](../../")) {
            let file = rest.split_once(')').unwrap().0;
            let source = fs::read_to_string(root().join(file)).unwrap_or_default();
            named += 1;
            if !source.contains(&format!("fn {test}(")) && !file.ends_with(test) {
                wrong.push(format!("{name}: {test} is not in {file}"));
            }
        }
        if named == 0 {
            wrong.push(format!("{name}: no test is named"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
