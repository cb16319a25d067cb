//! The modules of every crate stand on one another without circles, as `docs/design.md` draws them.
//!
//! It reads the paths that begin with `crate::`, in `use` lines and elsewhere, comments and tests aside. A name that the
//! crate's root re-exports stands for the module that it comes from.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which modules each module of a crate uses, with the first place where it does.
type Uses = BTreeMap<String, BTreeMap<String, String>>;

/// Comments, and what comes after the first module of tests, are blank.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn name_at(text: &str) -> &str {
    let end = text.find(|character: char| !character.is_alphanumeric() && character != '_');
    &text[..end.unwrap_or(text.len())]
}

/// The first names behind `crate::`: one, or those of a list in braces.
fn first_names(text: &str) -> Vec<&str> {
    let Some(list) = text.strip_prefix('{') else { return vec![name_at(text)] };
    let (mut depth, mut names, mut is_first) = (0, Vec::new(), true);
    for (at, character) in list.char_indices() {
        match character {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => is_first = true,
            character if is_first && (character.is_alphabetic() || character == '_') => {
                names.push(name_at(&list[at..]));
                is_first = false;
            }
            _ => {}
        }
    }
    names
}

/// The modules that a file declares, those of tests aside.
fn modules(code: &str) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    let mut is_test = false;
    for line in code.lines().map(str::trim) {
        let declared = ["pub(crate) mod ", "pub mod ", "mod "].iter().find_map(|start| line.strip_prefix(start));
        match declared.and_then(|name| name.strip_suffix(';')) {
            Some(name) if !is_test => drop(modules.insert(name.to_string())),
            _ => {}
        }
        is_test = line.starts_with("#[cfg(test)]") || (is_test && line.starts_with('#'));
    }
    modules
}

/// The names that the root re-exports, with the module that each is from.
fn exported(root: &str, modules: &BTreeSet<String>) -> BTreeMap<String, String> {
    let mut exported = BTreeMap::new();
    for statement in root.split(';').filter_map(|statement| Some(statement.split_once("pub use ")?.1)) {
        let module = name_at(statement.strip_prefix("self::").unwrap_or(statement));
        if modules.contains(module) {
            let words = statement.split(|character: char| !character.is_alphanumeric() && character != '_');
            exported.extend(words.map(|word| (word.to_string(), module.to_string())));
        }
    }
    exported
}

fn files_of(directory: &Path, files: &mut Vec<PathBuf>) {
    let declares = fs::read_to_string(directory.join("mod.rs")).unwrap_or_default();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        // A folder of tests is named so, or is declared behind the attribute.
        if name == "tests" || (declares.contains(&format!("mod {name};")) && !modules(&declares).contains(&name)) {
            continue;
        }
        if path.is_dir() {
            files_of(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn uses(sources: &Path) -> Uses {
    let root = code(&fs::read_to_string(sources.join("lib.rs")).unwrap());
    let modules = modules(&root);
    let exported = exported(&root, &modules);
    let mut files = Vec::new();
    files_of(sources, &mut files);
    let mut uses = Uses::new();
    for file in files {
        let within = file.strip_prefix(sources).unwrap();
        let first = within.components().next().unwrap().as_os_str().to_string_lossy();
        let module = first.strip_suffix(".rs").unwrap_or(&first).to_string();
        if !modules.contains(&module) {
            continue;
        }
        let of_module = uses.entry(module.clone()).or_default();
        let code = code(&fs::read_to_string(&file).unwrap());
        for (at, path) in code.match_indices("crate::") {
            for name in first_names(&code[at + path.len()..]) {
                let used = exported.get(name).map_or(name, String::as_str);
                if used != module && modules.contains(used) {
                    let line = code[..at].matches('\n').count() + 1;
                    of_module.entry(used.to_string()).or_insert_with(|| format!("{}:{line}", within.display()));
                }
            }
        }
    }
    uses
}

/// A circle, as the uses that it is made of.
fn circle(uses: &Uses) -> Option<Vec<String>> {
    fn go<'a>(uses: &'a Uses, module: &'a str, path: &mut Vec<&'a str>, done: &mut BTreeSet<&'a str>) -> bool {
        if let Some(begin) = path.iter().position(|other| *other == module) {
            path.drain(..begin);
            path.push(module);
            return true;
        }
        if !done.insert(module) {
            return false;
        }
        path.push(module);
        for used in uses.get(module).into_iter().flat_map(BTreeMap::keys) {
            if go(uses, used, path, done) {
                return true;
            }
        }
        path.pop();
        false
    }
    let mut done = BTreeSet::new();
    for module in uses.keys() {
        let mut path = Vec::new();
        if go(uses, module, &mut path, &mut done) {
            let step = |pair: &[&str]| format!("{} uses {} ({})", pair[0], pair[1], uses[pair[0]][pair[1]]);
            return Some(path.windows(2).map(step).collect());
        }
    }
    None
}

#[test]
fn the_modules_of_a_crate_make_no_circle() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut crates = 0;
    for entry in fs::read_dir(workspace).unwrap() {
        let sources = entry.unwrap().path().join("src");
        if sources.join("lib.rs").is_file() {
            let uses = uses(&sources);
            if let Some(circle) = circle(&uses) {
                panic!("{}: a circle of modules:\n  {}", sources.display(), circle.join("\n  "));
            }
            crates += 1;
        }
    }
    assert!(crates >= 10, "found {crates} crates");
}

/// The modules in the lines of a drawing, from the top: the names before the column in which the text begins.
fn drawing(page: &str, of: &str) -> Vec<Vec<String>> {
    let behind = page.split(&format!("of `{of}`:\n\n```text\n")).nth(1).unwrap_or_else(|| panic!("no drawing of {of}"));
    let lines = behind.split("```").next().unwrap().lines();
    lines.map(|line| line[..30].split_whitespace().map(str::to_string).collect()).collect()
}

#[test]
fn the_design_draws_the_modules_as_they_are() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(workspace.join("docs/design.md")).unwrap();
    for of in ["tito-core", "tito-worker", "tito-eventstore", "tito-console"] {
        let lines = drawing(&page, of);
        let line_of = |module: &str| lines.iter().position(|line| line.iter().any(|name| name == module));
        let mut uses = uses(&workspace.join(of).join("src"));
        uses.remove("prelude");
        let drawn: BTreeSet<_> = lines.iter().flatten().collect();
        assert_eq!(drawn, uses.keys().collect(), "the drawing has all modules of {of} and no others");
        for (module, used) in uses {
            for (below, place) in used {
                assert!(line_of(&module) < line_of(&below), "{of}: {module} uses {below}, drawn above it ({place})");
            }
        }
    }
}

#[test]
fn uses_are_found_and_so_are_circles() {
    let root = "mod a;\n#[cfg(test)]\nmod c;\npub(crate) mod b;\npub use a::{One, Two};\npub use other::b;\n";
    assert_eq!(modules(root).into_iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(exported(root, &modules(root))["Two"], "a");
    assert_eq!(first_names("a::{b, c};"), ["a"]);
    assert_eq!(first_names("{a::{b, c}, d, e as f};"), ["a", "d", "e"]);
    assert_eq!(code("a // crate::b\nc\n#[cfg(test)]\nmod tests {\nd"), "a \nc");
    let arrow = |from: &str, to: &str| (from.to_string(), BTreeMap::from([(to.to_string(), "here".to_string())]));
    assert_eq!(circle(&Uses::from([arrow("a", "b"), arrow("b", "c")])), None);
    let found = circle(&Uses::from([arrow("a", "b"), arrow("b", "c"), arrow("c", "b")])).unwrap();
    assert_eq!(found, ["b uses c (here)", "c uses b (here)"]);
}
