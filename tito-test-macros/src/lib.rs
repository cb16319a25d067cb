//! Macros of `tito-test-engines`, which make facts tests without a list that somebody keeps. Nothing to use by itself.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro::{Delimiter, TokenStream, TokenTree};

/// Makes an asynchronous function a fact about every engine: a module of the function's name gets one `#[test]` for each,
/// `in_memory`, `on_disk` and, with the feature `tikv`, `on_tikv`.
///
/// - `async fn fact(db: Database, clock: TestClock)` gets a database that the clock drives, on a runtime of one thread:
///   when the clock is turned, a task beside the fact has gone to sleep.
/// - `async fn fact(db: Database)` gets one on the machine's clock, on a runtime of two threads.
///
/// The crate's root has to bring `on_each_engine` into scope:
/// `#[macro_use] extern crate tito_test_engines`, or the same of `tito_testkit`.
#[proc_macro_attribute]
pub fn fact(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let made = match signature(&item) {
        _ if !arguments.is_empty() => failure("`#[fact]` takes no arguments"),
        Some((name, 1)) => tests(&name, "without_clock", "db"),
        Some((name, 2)) => tests(&name, "with_clock", "db, clock"),
        _ => failure("a fact is `async fn name(db: Database)` or `async fn name(db: Database, clock: TestClock)`"),
    };
    let mut output = item;
    output.extend(made);
    output
}

fn tests(name: &str, kind: &str, arguments: &str) -> TokenStream {
    let fact = format!("{kind}(|{arguments}| ::std::boxed::Box::pin(super::{name}({arguments})))");
    parsed(&format!("mod {name} {{ on_each_engine!({fact}); }}"))
}

/// The name of a function, and how many parameters it has.
fn signature(item: &TokenStream) -> Option<(String, usize)> {
    let mut tokens = item.clone().into_iter().skip_while(|token| token.to_string() != "fn").skip(1);
    let name = tokens.next()?.to_string();
    match tokens.next()? {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => {
            Some((name, parameters(group.stream())))
        }
        _ => None,
    }
}

fn parameters(list: TokenStream) -> usize {
    let (mut count, mut is_begun) = (0, false);
    for token in list {
        let is_comma = matches!(&token, TokenTree::Punct(mark) if mark.as_char() == ',');
        count += usize::from(!is_comma && !is_begun);
        is_begun = !is_comma;
    }
    count
}

/// All facts of the conformance suite: each `pub async fn` in a file of this folder, whose path begins at the crate's
/// manifest. Gives `FACTS`, a table of them, and `__every_fact!`, which hands their names to another macro.
#[proc_macro]
pub fn conformance_facts(folder: TokenStream) -> TokenStream {
    let folder = folder.to_string();
    let root = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    match ideas(&root.join(folder.trim_matches('"'))) {
        Ok(ideas) if !ideas.is_empty() => list(&ideas),
        Ok(_) => failure(&format!("no fact was found in {folder}")),
        Err(error) => failure(&format!("the facts in {folder} can't be read: {error}")),
    }
}

/// What the facts of a file are about, and their names.
type Idea = (String, Vec<String>);

fn ideas(folder: &Path) -> std::io::Result<Vec<Idea>> {
    let mut ideas = Vec::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let source = fs::read_to_string(&path)?;
        let facts: Vec<_> = source.lines().filter_map(fact_of).map(str::to_string).collect();
        if !facts.is_empty() {
            let idea = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            ideas.push((idea, facts));
        }
    }
    ideas.sort();
    Ok(ideas)
}

fn fact_of(line: &str) -> Option<&str> {
    line.strip_prefix("pub async fn ")?.split('(').next()
}

fn list(ideas: &[Idea]) -> TokenStream {
    let (mut table, mut names) = (String::new(), String::new());
    for (idea, facts) in ideas {
        for fact in facts {
            table.push_str(&format!("(\"{idea}::{fact}\", |opener| Box::pin(facts::{idea}::{fact}(opener))),"));
        }
        names.push_str(&format!("{idea} {{ {} }}", facts.join(" ")));
    }
    parsed(&format!(
        "pub(super) static FACTS: &[(&str, fn(Opener) -> LocalBoxFuture<'static, ()>)] = &[{table}];
        #[doc(hidden)]
        #[macro_export]
        macro_rules! __every_fact {{
            ($with:path, $module:ident, $engine:ty) => {{ $with! {{ $module, $engine; {names} }} }};
        }}"
    ))
}

fn failure(message: &str) -> TokenStream {
    parsed(&format!("::core::compile_error!({message:?});"))
}

fn parsed(code: &str) -> TokenStream {
    code.parse().expect("what is written here is Rust")
}
