//! One run of the program: which database it is about, how its API is reached, what has to be closed at the end.

use std::path::PathBuf;
use std::time::Duration;

use tito_core::{Database, TitoError};
use tito_worker::Operator;

use crate::arguments::Common;
use crate::client::{Call, Client, Remote, RemoteOptions, Token, Transport};
use crate::failure::{Failure, Kind, Result};
use crate::output::Output;

/// How long is waited for somebody who has the directory open for a moment, as another command has.
const BRIEFLY: Duration = Duration::from_secs(5);

/// How often is looked again meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What is done with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// It is looked at.
    Read,
    /// It is looked at, and on a cluster its workers are told so: they count only while somebody looks.
    Look,
    /// It is changed.
    Change,
}

/// What `--db` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A directory of the embedded engine, which one process at a time has open.
    Directory(PathBuf),
    /// A cluster, which this process connects to.
    Cluster,
    /// A console on the network.
    Remote,
}

/// One run of the program.
#[derive(Debug)]
pub(crate) struct Session {
    common: Common,
    pub(crate) output: Output,
    opened: Vec<Database>,
}

impl Session {
    pub(crate) fn new(common: Common) -> Self {
        let output = Output::new(common.json, common.colour);
        Self { common, output, opened: Vec::new() }
    }

    /// The URL of the database.
    pub(crate) fn url(&self) -> Result<&str> {
        let missing = || Failure::usage("which database? --db URL or TITO_DB says it: file:…, tikv://… or https://…");
        self.common.db.as_deref().ok_or_else(missing)
    }

    pub(crate) fn target(&self) -> Result<Target> {
        target_of(self.url()?)
    }

    /// Whether nobody is to be asked.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.common.yes
    }

    /// Who types this, and why, for the audit.
    pub(crate) fn operator(&self) -> Operator {
        Operator::new(user_name()).why(self.common.why.as_deref().unwrap_or_default())
    }

    /// Speaks the API of the database.
    pub(crate) async fn client(&mut self, purpose: Use) -> Result<Client> {
        let transport = match self.target()? {
            Target::Remote => {
                // Sent over the network alone: a socket knows who connects.
                let token = self.token()?;
                let options = RemoteOptions {
                    ca: self.common.ca.clone(),
                    is_plain_allowed: self.common.plain,
                    has_token: token.is_some(),
                };
                let transport = Transport::Remote(Remote::new(self.url()?, &options)?);
                return Ok(Client::new(transport, token, self.common.timeout));
            }
            Target::Cluster => {
                let purpose = if purpose == Use::Look { Use::Change } else { purpose };
                let database = open(self.url()?, purpose).await?;
                self.in_process(database)?
            }
            Target::Directory(path) => match self.open_or_reach(&path, purpose).await? {
                Reached::Running(transport) => transport,
                Reached::Closed(database) => self.in_process(database)?,
            },
        };
        Ok(Client::new(transport, None, self.common.timeout))
    }

    /// Opens a directory that is closed, or reaches the application that has it open.
    async fn open_or_reach(&self, path: &std::path::Path, purpose: Use) -> Result<Reached> {
        let deadline =
            tokio::time::Instant::now() + self.common.timeout.map_or(BRIEFLY, |timeout| timeout.min(BRIEFLY));
        loop {
            if let Some(transport) = running(path).await? {
                return Ok(Reached::Running(transport));
            }
            match open(self.url()?, purpose).await {
                Ok(database) => return Ok(Reached::Closed(database)),
                Err(error @ TitoError::DatabaseInUse { .. }) if tokio::time::Instant::now() >= deadline => {
                    let message = format!(
                        "{} is open in an application that does not offer its socket (`tito_console::serve_local`), \
                         or another command works on it",
                        path.display()
                    );
                    return Err(Failure::new(Kind::Unavailable, message).because(error));
                }
                Err(TitoError::DatabaseInUse { .. }) => tokio::time::sleep(LOOK_AGAIN).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Opens the database itself, for what the API is not needed. `None` if an application or a console has it.
    pub(crate) async fn database(&mut self, purpose: Use) -> Result<Option<Database>> {
        let database = match self.target()? {
            Target::Remote => return Ok(None),
            Target::Cluster => open(self.url()?, purpose).await?,
            Target::Directory(path) => match self.open_or_reach(&path, purpose).await? {
                Reached::Running(_) => return Ok(None),
                Reached::Closed(database) => database,
            },
        };
        self.opened.push(database.clone());
        Ok(Some(database))
    }

    fn in_process(&mut self, database: Database) -> Result<Transport> {
        self.opened.push(database.clone());
        Ok(Transport::InProcess(crate::api::router(&database, user_name())))
    }

    fn token(&self) -> Result<Option<Token>> {
        let text = match (&self.common.token_file, &self.common.token) {
            (Some(path), _) => Some(
                std::fs::read_to_string(path)
                    .map_err(|error| Failure::io(format!("the token in {} can't be read", path.display()), error))?,
            ),
            (None, token) => token.clone(),
        };
        text.map(|text| Token::new(&text)).transpose()
    }

    /// Whether this process has a directory open, which no application can have meanwhile.
    pub(crate) fn keeps_directory(&self) -> Result<bool> {
        Ok(!self.opened.is_empty() && matches!(self.target()?, Target::Directory(_)))
    }

    /// A call that changes something.
    pub(crate) fn change(&self, call: Call) -> Call {
        call.query_if("why", self.common.why.as_deref())
    }

    /// Closes what was opened. An application that waits for the directory can have it then.
    pub(crate) async fn close_opened(&mut self) {
        for database in self.opened.drain(..) {
            database.close().await;
        }
    }
}

enum Reached {
    Running(Transport),
    Closed(Database),
}

fn target_of(url: &str) -> Result<Target> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("http" | "https") => Ok(Target::Remote),
        _ => match Database::directory_of(url)? {
            Some(path) => Ok(Target::Directory(path)),
            None if url.starts_with("memory:") => {
                Err(Failure::usage("a database in memory belongs to the process that has it"))
            }
            None => Ok(Target::Cluster),
        },
    }
}

/// Opens a database that there has to be.
async fn open(url: &str, purpose: Use) -> Result<Database, TitoError> {
    match purpose {
        Use::Read | Use::Look => Database::open_read_only(url).await,
        Use::Change => Database::open_existing(url).await,
    }
}

/// The application that has a directory open and offers its socket, if there is one.
async fn running(path: &std::path::Path) -> Result<Option<Transport>> {
    crate::api::running(path).await
}

/// Who types this, as the audit knows them: not as the environment says, which anybody sets.
#[cfg(unix)]
fn user_name() -> String {
    let user = rustix::process::getuid().as_raw();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    named(user, &users).map_or_else(|| format!("uid {user}"), str::to_string)
}

#[cfg(unix)]
fn named(user: u32, users: &str) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(user)).then_some(name)
    })
}

#[cfg(not(unix))]
fn user_name() -> String {
    std::env::var("USERNAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_url_says_what_it_is_of() {
        assert_eq!(target_of("file:data").unwrap(), Target::Directory(PathBuf::from("data")));
        assert_eq!(target_of("./data").unwrap(), Target::Directory(PathBuf::from("./data")));
        assert_eq!(target_of("tikv://pd:2379/app/").unwrap(), Target::Cluster);
        assert_eq!(target_of("HTTPS://example.com").unwrap(), Target::Remote);
        for url in ["memory:", "postgres://x", ""] {
            assert_eq!(target_of(url).unwrap_err().kind, Kind::Usage, "{url}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_user_has_the_name_that_the_machine_knows() {
        let users = "root:x:0:0::/root:/bin/sh\nbroken\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!((named(1000, users), named(0, users), named(7, users)), (Some("ada"), Some("root"), None));
    }
}
