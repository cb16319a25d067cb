//! The page of the guide, run as it is written.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tito_core::prelude::*;
use tito_worker::prelude::*;
use tito_worker::{RetryPolicy, Schedule, Subscription};

use crate::support::{Closed, publish, run};

/// The shell blocks below a heading's subheadings, each with its title.
fn blocks(page: &str, heading: &str) -> Vec<(String, String)> {
    let section = page.split(&format!("\n## {heading}\n")).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let block = |part: &str| {
        let (title, rest) = part.split_once('\n').unwrap();
        let block = rest.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next());
        (title.to_string(), block.unwrap_or_else(|| panic!("{title:?} has no commands")).to_string())
    };
    section.split("\n### ").skip(1).map(block).collect()
}

/// A database as the page supposes it: mails to `user:ada` have failed by an outage, and one of her events has caused
/// another. Returns that event's id.
async fn outage(closed: &Closed) -> String {
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    let queue = TitoQueue::new(db.clone());
    queue.set_history("audit", Some(Duration::from_secs(86_400))).await.unwrap();
    publish(&db, Publish::new("mail", "user:ada").action("welcome")).await;
    let nightly = Schedule::cron("nightly", "0 3 * * *").publishes(Publish::new("audit", "report:daily"));
    queue.put_schedule(nightly).await.unwrap();
    let once = Subscription::default().retry(RetryPolicy::default().attempts(1));
    let failing = |_: TitoEvent| async { Err::<(), _>(TitoError::application("connection refused")) };
    Worker::builder(queue.clone()).subscribe_with("mail", once, failing).build().drain().await.unwrap();
    let letters = queue.dead_letters("mail", 10, None).await.unwrap();
    let event = letters.into_iter().filter_map(|letter| letter.event).find(|event| event.entity == "user:ada");
    db.close().await;
    event.unwrap().id.to_string()
}

#[tokio::test]
async fn the_operators_list_is_done_as_it_is_written() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/guide/command-line.md");
    let blocks = blocks(&std::fs::read_to_string(page).unwrap(), "An operator's list");
    assert!(blocks.len() >= 7, "{blocks:#?}");
    let closed = Closed::with_events().await;
    let event = outage(&closed).await;
    let place = closed.beside("operator");
    std::fs::create_dir(&place).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_tito")).parent().unwrap().to_path_buf();
    let mut path = OsString::from(program);
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    for (title, block) in blocks {
        let commands = block.lines().filter(|line| line.starts_with("tito ")).count();
        assert!((1..=3).contains(&commands), "{title:?} takes {commands} commands");
        let mut shell = Command::new("sh");
        shell.args(["-euc", &block]).current_dir(&place).env("PATH", &path);
        shell.env("TITO_DB", closed.url()).env("EVENT", &event).env_remove("TITO_TOKEN");
        let said = run(&mut shell);
        assert_eq!(said.code, 0, "{title}: {said:#?}");
        // What the page promises.
        let expected: &[&str] = match title.as_str() {
            title if title.starts_with("Why") => &["user:ada", "dead", "connection refused"],
            title if title.starts_with("Redrive slowly") => &["redrive mail", "waiting", "is stopped"],
            title if title.starts_with("Redrive") => {
                &["connection refused", "1 events would be", "1 events are due again"]
            }
            title if title.starts_with("What has") => &["welcome"],
            title if title.starts_with("Slow") => &["mail is handled within these limits"],
            title if title.starts_with("Move") => &["30 4 * * *"],
            title if title.starts_with("Take") => &["0 are wrong"],
            _ => &[],
        };
        for text in expected {
            assert!(said.out.contains(text), "{title} does not say {text:?}: {}", said.out);
        }
    }
}
