//! Every command that destroys says first how much it would, and asks.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tito_core::Transaction;
use tito_core::prelude::*;
use tito_worker::prelude::*;
use tito_worker::{GroupStart, RetryPolicy, Schedule, Subscription};

use crate::support::{Closed, Run, publish, run, tito};

/// What a command destroys here, and how it says so; `EVENT` stands for the id of an event.
struct Destroying {
    command: &'static str,
    arguments: &'static [&'static str],
    says: &'static str,
    /// What it waits for on a cluster takes too long for a test.
    waits_on_clusters: bool,
}

const fn of(command: &'static str, arguments: &'static [&'static str], says: &'static str) -> Destroying {
    Destroying { command, arguments, says, waits_on_clusters: false }
}

const fn waiting(command: &'static str, arguments: &'static [&'static str], says: &'static str) -> Destroying {
    Destroying { command, arguments, says, waits_on_clusters: true }
}

/// Every command that destroys something, in an order in which none takes from another what it is to destroy.
const DESTROYING: [Destroying; 11] = [
    of("operations start purge", &["mail", "--all"], "3 events of mail"),
    of("operations start purge-dead", &["mail", "--error", "busy"], "1 dead letter of mail"),
    of("keep", &["flaky", "--dead-events", "1"], "2 finished events and dead letters of flaky"),
    of("verify", &["--repair"], "1 rows that are wrong"),
    of("events cancel", &["audit", "EVENT"], "1 place where event"),
    of("erase", &["grace-17"], "1 rows that belong to grace-17"),
    of("schedules remove", &["nightly"], "1 schedule"),
    waiting("index drop", &["user", "by_email"], "2 rows of the index by_email of user"),
    waiting("groups remove", &["mail", "billing"], "4 events of mail@billing"),
    of("dead purge", &["mail", "--all"], "1 dead letter of mail"),
    of("purge", &["mail"], "3 events of mail"),
];

/// What destroys nothing, and can yet be rehearsed.
const REHEARSED: [&str; 2] = ["dead redrive", "operations start redrive"];

/// Everything else: what only reads, what can be taken back by another command, what adds something. A backup only replaces
/// a file that it was told to; a restore and a copy only fill what is empty; what a named operation does is its
/// application's.
const HARMLESS: &[&str] = &[
    "backup",
    "completions",
    "copy",
    "dead group",
    "dead list",
    "engine compact",
    "engine sizes",
    "events caused",
    "events explain",
    "events find",
    "events list",
    "events of",
    "events publish",
    "events reschedule",
    "events run",
    "events show",
    "fleets",
    "groups add",
    "groups list",
    "history",
    "index list",
    "index reindex",
    "leases",
    "limit",
    "man",
    "members",
    "migrate",
    "operations list",
    "operations show",
    "operations start named",
    "operations start rebuild",
    "operations start reindex",
    "operations start replay",
    "operations start resume",
    "operations stop",
    "operations wait",
    "owned",
    "pause",
    "reactors list",
    "reactors replay",
    "replay",
    "resize",
    "restore",
    "resume",
    "retire",
    "schedules fire",
    "schedules list",
    "schedules pause",
    "schedules resume",
    "schedules set",
    "schedules show",
    "schedules unset",
    "stats",
    "stores events",
    "stores list",
    "stores projections",
    "stores rebuild",
    "stores show",
    "stores tail",
    "tables",
    "top",
    "topics",
    "watch",
    "workers",
];

/// The commands of the program, each with its manual page.
fn commands() -> Vec<(String, String)> {
    let place = tempfile::tempdir().unwrap();
    run(&mut tito(&["man", place.path().to_str().unwrap()])).said();
    let files = std::fs::read_dir(place.path()).unwrap().map(|file| file.unwrap().path());
    let pages: Vec<_> = files
        .map(|file| (file.file_stem().unwrap().to_str().unwrap().to_string(), std::fs::read_to_string(file).unwrap()))
        .collect();
    let is_group = |name: &str| pages.iter().any(|(other, _)| other.starts_with(&format!("{name}-")));
    // `purge-dead` is no command of `purge`, but of `operations start`, and the only one with a line in its name.
    let is_command = |name: &str| !is_group(name) || name == "tito-operations-start-purge";
    let words = |name: &str| name.trim_start_matches("tito-").replace('-', " ").replace("purge dead", "purge-dead");
    let all = pages.iter().filter(|(name, _)| is_command(name));
    all.map(|(name, page)| (words(name), page.replace('\\', ""))).collect()
}

#[test]
fn no_command_that_destroys_is_forgotten() {
    let all = commands();
    let destroying = DESTROYING.iter().map(|of| of.command);
    let listed: BTreeSet<_> = destroying.clone().chain(REHEARSED).chain(HARMLESS.iter().copied()).collect();
    let there: BTreeSet<_> = all.iter().map(|(command, _)| command.as_str()).collect();
    assert_eq!(there, listed, "say of each command whether it destroys");
    let rehearsed: BTreeSet<_> = destroying.clone().chain(REHEARSED).collect();
    for (command, page) in &all {
        let can_be = page.contains("--dry-run");
        assert_eq!(can_be, rehearsed.contains(command.as_str()), "{command} --dry-run");
    }
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/guide/command-line.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let rule = guide.lines().find(|line| line.starts_with("Destructive commands (")).unwrap();
    for command in destroying {
        assert!(rule.contains(&format!("`{command}")), "the guide does not say that {command} destroys");
    }
}

#[derive(Clone, Serialize, Deserialize, TitoModel)]
struct User {
    id: String,
    #[tito(index(name = "by_email"))]
    email: String,
}

/// Adds what there is to destroy beside what [`Closed::with_events`] has, and returns the id of an event.
async fn fill(db: &Database, with_group: bool) -> String {
    let queue = TitoQueue::new(db.clone());
    if with_group {
        queue.add_group("mail", "billing", GroupStart::History).await.unwrap();
    }
    let later = std::time::Duration::from_secs(86_400);
    publish(db, Publish::new("audit", "user:grace").owner("grace-17").delay(later)).await;
    publish(db, Publish::new("audit", "user:gone").delay(later)).await;
    let once = Subscription::default().retry(RetryPolicy::default().attempts(1));
    let failing = |_: TitoEvent| async { Err::<(), _>(TitoError::application("no")) };
    for number in 0..3 {
        publish(db, Publish::new("flaky", format!("user:{number}"))).await;
    }
    Worker::builder(queue.clone()).subscribe_with("flaky", once, failing).build().drain().await.unwrap();
    let nightly = Schedule::cron("nightly", "0 3 * * *").publishes(Publish::new("audit", "report:daily"));
    queue.put_schedule(nightly).await.unwrap();
    let users = db.model::<User>();
    db.transaction(|tx| {
        let users = users.clone();
        async move {
            for id in ["ada", "bob"] {
                users.insert(&User { id: id.to_string(), email: format!("{id}@example.com") }, &tx).await?;
            }
            // What no version has written.
            tx.system_keys().put(b"process:0190a000-0000-7000-8000-000000000000".to_vec(), b"{".to_vec()).await
        }
    })
    .await
    .unwrap();
    let pending = queue.peek("audit", 100, None).await.unwrap();
    let gone = pending.into_iter().filter_map(|pending| pending.event).find(|event| event.entity == "user:gone");
    gone.unwrap().id.to_string()
}

async fn ask(url: &str, of: &Destroying, event: &str, further: &[&str]) -> Run {
    let arguments = of.arguments.iter().map(|argument| if *argument == "EVENT" { event } else { argument });
    let arguments: Vec<_> = of.command.split(' ').chain(arguments).chain(further.iter().copied()).collect();
    let mut command = tito(&arguments);
    command.env("TITO_DB", url);
    tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap()
}

/// Nobody confirms, or it is only rehearsed: each says how much it would destroy.
async fn nothing_is_destroyed(url: &str, event: &str, is_cluster: bool) {
    for of in DESTROYING.iter().filter(|of| !(is_cluster && of.waits_on_clusters)) {
        let Destroying { command, says, .. } = of;
        let refused = ask(url, of, event, &[]).await.failed(7);
        assert!(refused.contains(says) && refused.contains("--dry-run only counts"), "{command}: {refused}");
        let refused = ask(url, of, event, &["--json"]).await.failed(7);
        let last = refused.lines().next_back().unwrap();
        let error: serde_json::Value = serde_json::from_str(last).unwrap();
        assert_eq!(error["error"]["code"], "unconfirmed", "{command}: {refused}");
        let rehearsal = ask(url, of, event, &["--dry-run"]).await;
        // A database that is not sound is told by the exit code, as ever.
        assert_eq!(rehearsal.code, if *command == "verify" { 6 } else { 0 }, "{command}: {rehearsal:#?}");
        assert!(rehearsal.out.contains("nothing was done"), "{command}: {rehearsal:#?}");
        let programs = ask(url, of, event, &["--dry-run", "--yes", "--json"]).await;
        let counted: serde_json::Value = serde_json::from_str(&programs.out).unwrap();
        let count: u64 = says.split(' ').next().unwrap().parse().unwrap();
        let members = ["affected", "repairable", "scheduled"];
        let member = members.into_iter().find(|member| counted.get(member).is_some()).unwrap();
        assert_eq!(counted[member], count, "{command}: {counted}");
    }
}

async fn everything_is_destroyed(url: &str, event: &str) {
    for of in &DESTROYING {
        ask(url, of, event, &["--yes", "--why", "a test"]).await.said();
    }
    let asked = |arguments: &[&str]| run(tito(arguments).env("TITO_DB", url)).json();
    let stats = asked(&["stats", "mail", "--json"]);
    let total = &stats["items"][0]["total"];
    assert_eq!((&total["pending"], &total["dead"]), (&0.into(), &0.into()), "{stats}");
    assert_eq!(asked(&["events", "list", "audit", "--json"])["items"].as_array().unwrap().len(), 1);
    assert_eq!(asked(&["groups", "list", "mail", "--json"]), serde_json::json!({}));
    assert_eq!(asked(&["schedules", "list", "--json"])["items"], serde_json::json!([]));
    assert_eq!(asked(&["tables", "--json"])["items"][0]["indexes"], serde_json::json!({}));
    assert_eq!(asked(&["verify", "--json"])["is_sound"], true);
    assert_eq!(asked(&["keep", "flaky", "--json"])["dead_letter_events"], 1);
    let begun = asked(&["operations", "list", "--json"]);
    let kinds: Vec<_> = begun["items"].as_array().unwrap().iter().map(|of| of["task"]["kind"].clone()).collect();
    assert_eq!(kinds, ["purge_dead_letters", "purge"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_closed_directory_nothing_is_destroyed_that_nobody_confirms() {
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    let event = fill(&db, true).await;
    db.close().await;
    let before = closed.bytes();
    nothing_is_destroyed(&closed.url(), &event, false).await;
    assert!(closed.bytes() == before, "something has changed the directory");
    everything_is_destroyed(&closed.url(), &event).await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn in_a_running_application_nothing_is_destroyed_that_nobody_confirms() {
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    let event = fill(&db, true).await;
    let console = tito_console::serve_local(&db).await.unwrap();
    nothing_is_destroyed(&closed.url(), &event, false).await;
    everything_is_destroyed(&closed.url(), &event).await;
    console.stop().await;
    db.close().await;
}

#[cfg(feature = "tikv")]
#[tokio::test(flavor = "multi_thread")]
async fn on_a_cluster_nothing_is_destroyed_that_nobody_confirms() {
    let temporary = tito_testkit::on_mock_cluster().await.unwrap();
    let db = temporary.database();
    crate::support::fill(db).await;
    let event = fill(db, false).await;
    let url = format!("tikv://{}", temporary.cluster().pd_endpoints().join(","));
    nothing_is_destroyed(&url, &event, true).await;
    // Twice the same: nothing was done.
    nothing_is_destroyed(&url, &event, true).await;
}

/// Where counting ends there may be more, which is said.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_up_to_a_bound_says_so() {
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    let queue = TitoQueue::new(db.clone());
    for _ in 0..10 {
        let publishing = |tx: Transaction| {
            let queue = queue.clone();
            async move {
                for number in 0..150 {
                    queue.publish(Publish::new("bulk", format!("user:{number}")).owner("bulk"), &tx).await?;
                }
                Ok(())
            }
        };
        db.transaction(publishing).await.unwrap();
    }
    db.close().await;
    for arguments in [&["operations", "start", "purge", "bulk", "--all"][..], &["purge", "bulk"], &["erase", "bulk"]] {
        let refused = closed.run(arguments).failed(7);
        assert!(refused.contains("at least "), "{arguments:?}: {refused}");
        let rehearsed = closed.run(&[arguments, &["--dry-run", "--json"]].concat()).json();
        assert_eq!(rehearsed["at_least"], true, "{arguments:?}: {rehearsed}");
    }
    // Those that are looked for are counted one by one.
    let some = ["operations", "start", "purge", "bulk", "--entity", "user:3", "--dry-run"];
    assert!(closed.run(&some).said().starts_with("would be affected: 10 events of bulk"));
    let redrive = ["operations", "start", "redrive", "mail", "--all", "--dry-run"];
    assert!(closed.run(&redrive).said().starts_with("would be affected: 1 dead letter of mail;"));
}
