//! Users sign up; what has to follow (a welcome mail, a statistic, a reminder) is written as events in the transaction
//! that saves them, and done by a worker. Stop it half-way, with Ctrl-C or kill -9, and run it again: it carries on.
//!
//! `cargo run -p tito-examples --example quickstart`; the data is kept in `./tito-quickstart-data`, or in the database that `TITO_DB` names.
//!
//! `TITO_DB=tikv://127.0.0.1:2379/quickstart/ cargo run -p tito-examples --example quickstart --features tikv` is the same program on a TiKV
//! cluster, given the addresses of its PD, with commas between them, and what its keys there begin with.
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tito_core::keys::{self, KeyRange};
use tito_core::prelude::*;
use tito_core::{BoxError, Transaction};
use tito_worker::prelude::*;
use tito_worker::{RetryPolicy, Subscription, WorkerReport};
use tokio::sync::oneshot;

/// Who signs up, one a second.
const PEOPLE: [(&str, &str, &str); 6] = [
    ("ada", "Ada", "ada@example.com"),
    ("grace", "Grace", "grace@example.com"), // the mail server is busy when she gets her mail
    ("linus", "Linus", "linus.example.com"), // a mistyped address, which somebody has to correct
    ("barbara", "Barbara", "barbara@example.com"),
    ("edsger", "Edsger", "edsger@example.com"),
    ("margaret", "Margaret", "margaret@example.com"),
];

/// Every insert of a user writes three events beside the row, each for a subscriber of its own.
#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = "welcome", on(insert))]
#[tito(event = "signup", on(insert))]
#[tito(event = "reminder", on(insert), delay = "5s")]
struct User {
    id: String,
    name: String,
    email: String,
    reminded: bool,
}

#[derive(Clone, Serialize, Deserialize, TitoModel)]
struct Statistic {
    id: String,
    count: u64,
}

const TOPICS: [&str; 3] = ["welcome", "signup", "reminder"];

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let url = std::env::var("TITO_DB").unwrap_or_else(|_| "./tito-quickstart-data".to_string());
    let db = Database::open(&url).await?;
    let start_over = start_over(&db, &url).await?;
    let result = run(db.clone(), Place { name: url, start_over }).await;
    db.close().await;
    result
}

/// How to begin again. On a cluster that is done here if it was asked for: nobody can remove its directory.
async fn start_over(db: &Database, url: &str) -> Result<String, TitoError> {
    #[cfg(feature = "tikv")]
    if let Some(cluster) = db.backend::<TiKVBackend>() {
        if std::env::args().any(|argument| argument == "--start-over") {
            cluster.clear().await?;
        }
        return Ok("add `-- --start-over` to the command".to_string());
    }
    let _ = db;
    Ok(format!("rm -r {}", url.strip_prefix("file:").unwrap_or(url)))
}

/// Where the data is.
struct Place {
    name: String,
    start_over: String,
}

/// The program, on any engine.
async fn run(db: Database, place: Place) -> Result<(), BoxError> {
    let app = App::new(db).await?;
    if app.report_what_is_there(&place).await? {
        return Ok(());
    }
    let console = app.serve_console().await?;

    let (stop, stopped) = oneshot::channel::<()>();
    let worker = app.worker();
    let worker = tokio::spawn(async move { worker.run(async move { drop(stopped.await) }).await });
    let interrupted = tokio::select! {
        result = app.run_to_the_end() => result.map(|()| false)?,
        _ = tokio::signal::ctrl_c() => true,
    };

    // The worker lets running handlers end and records what they came to.
    drop(stop);
    let WorkerReport { done, retried, dead, .. } = worker.await??;
    app.say("stop", format!("in this run {done} events were done, {retried} retried later, {dead} dead-lettered"));
    if interrupted {
        app.say("stop", "stopped half-way: run it again, and it carries on".to_string());
    } else {
        app.report_the_end(&place).await?;
    }
    if let Some(console) = console {
        console.stop().await;
    }
    Ok(())
}

#[derive(Clone)]
struct App {
    db: Database,
    queue: TitoQueue,
    users: TitoTable<User>,
    statistics: TitoTable<Statistic>,
    start: Instant,
}

impl App {
    async fn new(db: Database) -> Result<Self, TitoError> {
        let queue = TitoQueue::new(db.clone());
        // Sign-ups are counted in one row, so one partition is as good as many: they would wait for each other.
        queue.create_topic("signup", 1).await?;
        let (users, statistics) = (db.model(), db.model());
        Ok(Self { db, queue, users, statistics, start: Instant::now() })
    }

    fn say(&self, who: &str, what: String) {
        println!("{:5.1} s  {who:<9} {what}", self.start.elapsed().as_secs_f64());
    }

    /// A database in a directory belongs to this process, which answers tools while it runs. A cluster answers them itself.
    #[cfg(unix)]
    async fn serve_console(&self) -> Result<Option<tito_console::Serving>, BoxError> {
        if self.db.backend::<EmbeddedBackend>().and_then(EmbeddedBackend::directory).is_none() {
            return Ok(None);
        }
        let console = tito_console::serve_local(&self.db).await?;
        self.say("console", format!("while this runs, try in another terminal: {}", console.command()));
        Ok(Some(console))
    }

    #[cfg(not(unix))]
    async fn serve_console(&self) -> Result<Option<tito_console::Serving>, BoxError> {
        Ok(None)
    }

    /// The subscribers.
    fn worker(&self) -> Worker {
        let retry = RetryPolicy::default().attempts(3).first_delay(Duration::from_secs(1)).jitter(0.0);
        let patient = Subscription::default().retry(retry);
        let (mailer, statistics, reminders) = (self.clone(), self.clone(), self.clone());
        Worker::builder(self.queue.clone())
            .subscribe_with("welcome", patient, move |event| {
                let app = mailer.clone();
                async move { app.send_welcome(event).await }
            })
            .subscribe_with("signup", Subscription::default(), move |event: TitoEvent, tx: Transaction| {
                let app = statistics.clone();
                async move { app.count_signup(event, tx).await }
            })
            .subscribe_with("reminder", Subscription::default(), move |event: TitoEvent, tx: Transaction| {
                let app = reminders.clone();
                async move { app.remind(event, tx).await }
            })
            .build()
    }

    /// A plain handler, for effects outside of the database. An error means: try again later.
    async fn send_welcome(&self, event: TitoEvent) -> Result<(), BoxError> {
        let (users, id) = (self.users.clone(), id_of(&event));
        let user = self.db.transaction(|tx| async move { users.get(id, &tx).await }).await?;
        let Some(User { name, email, .. }) = user else { return Ok(()) };
        tokio::time::sleep(Duration::from_millis(100)).await; // as talking to a mail server would take
        let attempt = event.attempt();
        let failed = if !email.contains('@') {
            Some("the address has no @")
        } else if name == "Grace" && attempt < 3 {
            Some("the mail server is busy")
        } else {
            None
        };
        if let Some(why) = failed {
            let next = if attempt < 3 { "it is tried again later" } else { "it goes to the dead letters" };
            self.say("welcome", format!("{name}: attempt {attempt} of 3 failed, {why} ({email}); {next}"));
            return Err(why.into());
        }
        let ordinal = if attempt > 1 { format!(", at attempt {attempt}") } else { String::new() };
        self.say("welcome", format!("{name}: mail sent to {email}{ordinal}"));
        Ok(())
    }

    /// A transactional handler: the count and the acknowledgement are committed together, so nobody is counted twice.
    async fn count_signup(&self, event: TitoEvent, tx: Transaction) -> Result<(), TitoError> {
        let id = "signups".to_string();
        let count = self.statistics.get(&id, &tx).await?.map_or(0, |statistic| statistic.count) + 1;
        self.statistics.upsert(&Statistic { id, count }, &tx).await?;
        self.say("signup", format!("{}: counted as number {count}", id_of(&event)));
        Ok(())
    }

    /// Handed out when it falls due, 5 seconds after the sign-up, also if the program did not run meanwhile.
    async fn remind(&self, event: TitoEvent, tx: Transaction) -> Result<(), TitoError> {
        let Some(user) = self.users.get(id_of(&event), &tx).await? else { return Ok(()) };
        self.users.update(&User { reminded: true, ..user.clone() }, &tx).await?;
        self.say("reminder", format!("{}: reminded to fill in the profile, as planned at the sign-up", user.name));
        Ok(())
    }

    async fn run_to_the_end(&self) -> Result<(), TitoError> {
        tokio::try_join!(self.sign_up_everybody(), self.look_after_dead_letters_until_all_is_done())?;
        Ok(())
    }

    async fn sign_up_everybody(&self) -> Result<(), TitoError> {
        for (id, name, email) in PEOPLE {
            let user = User { id: id.into(), name: name.into(), email: email.into(), reminded: false };
            let users = self.users.clone();
            let is_new = self.db.transaction(|tx| async move {
                if users.get(&user.id, &tx).await?.is_some() {
                    return Ok(false);
                }
                users.insert(&user, &tx).await?;
                Ok(true)
            });
            if is_new.await? {
                self.say("save", format!("{name}: row and three events saved in one transaction"));
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        Ok(())
    }

    /// What a person would do: see why an event failed for good, put it right, and have it handled again.
    async fn look_after_dead_letters_until_all_is_done(&self) -> Result<(), TitoError> {
        while !self.status().await?.is_complete() {
            tokio::time::sleep(Duration::from_millis(200)).await;
            for event in self.queue.dead_letters("welcome", 10, None).await?.into_iter().filter_map(|dead| dead.event) {
                let id = id_of(&event).to_string();
                let why = event.failures.last().map_or("?", |failure| failure.error.as_str());
                self.say("operator", format!("{id}: a dead letter, because {why}"));
                tokio::time::sleep(Duration::from_secs(1)).await;
                let users = self.users.clone();
                let correction = self.db.transaction(|tx| async move {
                    let Some(user) = users.get(id, &tx).await? else { return Ok(None) };
                    let email = user.email.replace("linus.example", "linus@example");
                    users.update(&User { email, ..user }, &tx).await.map(Some)
                });
                correction.await?;
                self.say("operator", format!("{}: address corrected, event redriven", id_of(&event)));
                self.queue.redrive("welcome", event.id).await?;
            }
        }
        Ok(())
    }

    /// Says what an earlier run has left. Returns whether that is all there is to do.
    async fn report_what_is_there(&self, place: &Place) -> Result<bool, TitoError> {
        let status = self.status().await?;
        let Place { name, start_over } = place;
        if status.users == 0 {
            self.say("start", format!("a new database in {name}; stop me at any time and run me again"));
            return Ok(false);
        }
        self.say("found", format!("{} of {} users are saved in {name}", status.users, PEOPLE.len()));
        for topic in &status.topics {
            let done = status.users - topic.pending - topic.dead;
            let mut line = format!("{}: {done} done, {} pending", topic.name, topic.pending);
            if let Some(seconds) = topic.due_in.filter(|seconds| *seconds > 0) {
                line += &format!(", the next one due in {seconds} s");
            } else if topic.pending > 0 {
                line += ", due now";
            }
            if topic.dead > 0 {
                line += &format!(", {} among the dead letters", topic.dead);
            }
            self.say("found", line);
        }
        if status.is_complete() {
            self.say("done", format!("nothing is left to do; to start over: {start_over}"));
        } else {
            self.say("resume", "carrying on where the last run was cut off".to_string());
        }
        Ok(status.is_complete())
    }

    async fn report_the_end(&self, place: &Place) -> Result<(), TitoError> {
        let Status { users, signups, .. } = self.status().await?;
        self.say("done", format!("{users} users, {signups} sign-ups counted, no event left, no dead letter left"));
        self.say(
            "done",
            format!("run me again to see that nothing is done twice; to start over: {}", place.start_over),
        );
        Ok(())
    }

    /// Acknowledged events are deleted, so what is done and what is not can be read off the database at any time.
    async fn status(&self) -> Result<Status, TitoError> {
        let (users, statistics) = (self.users.clone(), self.statistics.clone());
        self.db
            .transaction(|tx| async move {
                let now = tx.now().seconds();
                let pending = tx.scan(KeyRange::prefix("event:"), 1_000).await?;
                let dead = tx.scan(KeyRange::prefix("dead:"), 1_000).await?;
                let of_topic = |name: &'static str| {
                    let places = |found: &[(Vec<u8>, Vec<u8>)]| -> Vec<i64> {
                        let places = found.iter().filter_map(|(key, _)| keys::parse_event(key));
                        places.filter(|place| place.queue == name).map(|place| place.seconds).collect()
                    };
                    let (pending, dead) = (places(&pending), places(&dead));
                    let due_in = pending.iter().min().map(|seconds| seconds - now);
                    TopicStatus { name, pending: pending.len() as u64, due_in, dead: dead.len() as u64 }
                };
                Ok(Status {
                    users: users.rows().count(&tx).await?,
                    signups: statistics.get("signups", &tx).await?.map_or(0, |statistic| statistic.count),
                    topics: TOPICS.map(of_topic),
                })
            })
            .await
    }
}

/// The id of the row that an event is about.
fn id_of(event: &TitoEvent) -> &str {
    event.entity_id().unwrap_or(&event.entity)
}

struct Status {
    users: u64,
    signups: u64,
    topics: [TopicStatus; 3],
}

struct TopicStatus {
    name: &'static str,
    pending: u64,
    /// Seconds until the next event falls due; negative if it has.
    due_in: Option<i64>,
    dead: u64,
}

impl Status {
    fn is_complete(&self) -> bool {
        self.users == PEOPLE.len() as u64 && self.topics.iter().all(|topic| topic.pending == 0 && topic.dead == 0)
    }
}
