//! Databases to look at, and the program run on them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tito_core::prelude::*;
use tito_worker::prelude::*;
use tito_worker::{RetryPolicy, Subscription};

/// The program, without what the environment of the test would tell it.
pub(crate) fn tito(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tito"));
    for name in ["TITO_DB", "TITO_TOKEN", "TITO_TOKEN_FILE", "TITO_CA", "COLUMNS", "NO_COLOR"] {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// How a run has ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn run(command: &mut Command) -> Run {
    let output = command.output().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Run {
    /// What it said, if it went well.
    #[track_caller]
    pub(crate) fn said(self) -> String {
        assert_eq!(self.code, 0, "{self:#?}");
        self.out
    }

    /// What it said, as JSON.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let out = self.said();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// What it complained of, if it has ended with this code.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:#?}");
        self.err
    }
}

/// A database that nobody has open.
pub(crate) struct Closed {
    place: TempDir,
}

impl Closed {
    /// With the topics `mail` and `audit`: three events are scheduled in `mail`, one waits in `audit`, and one of `mail` for
    /// `user:dead` has failed for good.
    pub(crate) async fn with_events() -> Self {
        let closed = Self { place: TempDir::new().unwrap() };
        let db = EmbeddedBackend::open(closed.path()).await.unwrap();
        fill(&db).await;
        db.close().await;
        closed
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.place.path().join("data")
    }

    /// A path beside the database.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        format!("file:{}", self.path().display())
    }

    /// Runs the program on it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        run(tito(arguments).env("TITO_DB", self.url()))
    }

    /// All files with what is in them.
    pub(crate) fn bytes(&self) -> BTreeMap<String, Vec<u8>> {
        bytes_of(&self.path())
    }
}

pub(crate) fn bytes_of(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

/// What [`Closed::with_events`] says.
pub(crate) async fn fill(db: &Database) {
    let queue = TitoQueue::new(db.clone());
    for topic in ["mail", "audit"] {
        queue.create_topic(topic, 2).await.unwrap();
    }
    publish(db, Publish::new("mail", "user:dead").action("welcome")).await;
    let once = Subscription::default().retry(RetryPolicy::default().attempts(1));
    let worker = Worker::builder(queue)
        .subscribe_with("mail", once, |_: TitoEvent| async {
            Err::<(), _>(TitoError::application("the server is busy"))
        })
        .build();
    worker.drain().await.unwrap();
    for user in ["ada", "grace", "linus"] {
        let later = std::time::Duration::from_secs(86_400);
        publish(db, Publish::new("mail", format!("user:{user}")).action("remind").delay(later)).await;
    }
    publish(db, Publish::new("audit", "user:ada")).await;
}

pub(crate) async fn publish(db: &Database, event: Publish) {
    let queue = TitoQueue::new(db.clone());
    db.transaction(|tx| {
        let (queue, event) = (queue.clone(), event.clone());
        async move { queue.publish(event, &tx).await }
    })
    .await
    .unwrap();
}
