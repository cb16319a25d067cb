//! Changes: what destroys is counted first and confirmed, and then made.

use clap::Args;
use serde::de::DeserializeOwned;
use tito_console::api::Affected;

use crate::client::{Answer, Call, Client};
use crate::confirm::confirm;
use crate::failure::Result;
use crate::session::{Session, Use};

/// Of commands that can be rehearsed.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Rehearsal {
    /// Only says how much would be affected
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl Rehearsal {
    /// What is done with the database.
    pub(crate) fn purpose(self) -> Use {
        if self.dry_run { Use::Read } else { Use::Change }
    }
}

/// How much something affects.
pub(crate) trait Counted {
    fn count(&self) -> u64;
    fn is_at_least(&self) -> bool;

    /// Whether somebody has to say yes to it.
    fn is_to_be_confirmed(&self) -> bool {
        true
    }

    /// Of what kinds it is, if it is of several.
    fn kinds(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

impl Counted for Affected {
    fn count(&self) -> u64 {
        self.affected
    }

    fn is_at_least(&self) -> bool {
        self.at_least
    }
}

impl Counted for tito_console::api::Redriven {
    fn count(&self) -> u64 {
        self.events
    }

    fn is_at_least(&self) -> bool {
        false
    }
}

/// A number of things, as people say it: `at least 3 events of "mail"`.
pub(crate) fn number_of(counted: &impl Counted, things: &str) -> String {
    let count = counted.count();
    let things = if count == 1 { things.replacen("(s)", "", 1) } else { things.replacen("(s)", "s", 1) };
    if counted.is_at_least() { format!("at least {count} {things}") } else { format!("{count} {things}") }
}

/// Makes a change that can't be taken back, as every command does that destroys something: says how much it affects, asks,
/// and then makes it. `None` if it was a rehearsal, which was said then.
pub(crate) async fn destroy<T: DeserializeOwned>(
    session: &mut Session,
    call: Call,
    rehearsal: Rehearsal,
    what: &str,
) -> Result<Option<Answer<T>>> {
    destroy_counted::<Affecting, T>(session, call, rehearsal, what).await
}

/// As [`destroy`], where a rehearsal answers in a way of its own.
pub(crate) async fn destroy_counted<C: Counted + DeserializeOwned, T: DeserializeOwned>(
    session: &mut Session,
    call: Call,
    rehearsal: Rehearsal,
    what: &str,
) -> Result<Option<Answer<T>>> {
    if rehearsal.dry_run || !session.is_confirmed() {
        let counted: Answer<C> = count(session, &call).await?;
        let text = number_of(&counted.value, what);
        if rehearsal.dry_run {
            session.output.answer(&counted.raw, |output| {
                output.fields(counted.value.kinds().into_iter().map(|(name, number)| (name, number.to_string())))?;
                output.line(format!("would be affected: {text}; nothing was done"))
            })?;
            return Ok(None);
        }
        if counted.value.is_to_be_confirmed() {
            confirm_count(session, &text).await?;
        }
    }
    let client = session.client(Use::Change).await?;
    client.get(&session.change(call)).await.map(Some)
}

/// What a change would affect. A directory is not kept from its application while somebody thinks about that.
async fn count<T: DeserializeOwned>(session: &mut Session, call: &Call) -> Result<Answer<T>> {
    let client = session.client(Use::Read).await?;
    let counted = client.get(&call.clone().rehearsed()).await?;
    drop(client);
    session.close_opened().await;
    Ok(counted)
}

/// Asks whether to go on, where nobody has said so.
pub(crate) async fn confirm_count(session: &Session, counted: &str) -> Result<()> {
    confirm(session, format!("This affects {counted}. Go on"), "--yes does, --dry-run only counts").await
}

/// What any rehearsal answers.
#[derive(Debug, serde::Deserialize)]
struct Affecting {
    #[serde(alias = "events")]
    affected: u64,
    #[serde(default)]
    at_least: bool,
}

impl Counted for Affecting {
    fn count(&self) -> u64 {
        self.affected
    }

    fn is_at_least(&self) -> bool {
        self.at_least
    }
}

/// Makes a change of which nothing but that it was made is to be said.
pub(crate) async fn make(session: &Session, client: &Client, call: Call, done: String) -> Result<()> {
    let answer: Answer<serde::de::IgnoredAny> = client.get(&session.change(call)).await?;
    session.output.answer(&answer.raw, |output| output.line(done))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::Parser as _;
    use tito_core::embedded::EmbeddedBackend;
    use tito_worker::TitoQueue;

    use super::*;
    use crate::arguments::CommandLine;

    #[tokio::test]
    async fn a_directory_can_be_had_while_somebody_is_asked() {
        let place = tempfile::tempdir().unwrap();
        let db = EmbeddedBackend::open(place.path()).await.unwrap();
        TitoQueue::new(db.clone()).create_topic("mail", 1).await.unwrap();
        db.close().await;
        let url = format!("file:{}", place.path().display());
        let line = CommandLine::try_parse_from(["tito", "--db", &url, "purge", "mail"]).unwrap();
        let mut session = Session::new(line.common);
        let call = crate::api::post(["queues", "mail", "purge"]);
        let counted: Answer<Affecting> = super::count(&mut session, &call).await.unwrap();
        assert_eq!(counted.value.affected, 0);
        EmbeddedBackend::open(place.path()).await.unwrap().close().await;
    }
}
