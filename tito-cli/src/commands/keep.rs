//! `tito keep`.

use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use tito_console::api::{Affected, Kept, KeptLetters, Topic};

use super::change::{Counted, Rehearsal, destroy_counted};
use crate::api;
use crate::client::Answer;
use crate::failure::{Failure, Result};
use crate::output::{Output, duration, parse_duration, visible};
use crate::session::{Session, Use};

/// Shows how much of a topic is kept after it was handled or has failed for good, or sets it.
///
/// It applies to each queue of the topic; workers delete the rest, the oldest first. What is omitted stays as it is. If
/// something would be deleted, it says how much and asks.
#[derive(Debug, Args)]
pub(crate) struct Keep {
    /// The topic
    topic: String,
    /// How long finished events are kept, such as 7d; no: they are deleted when they are done
    #[arg(long, value_name = "AGE|no", value_parser = |text: &str| parse_age(text, "no"))]
    history: Option<u64>,
    /// How many finished events are kept in each queue, about, the newest; any: any number
    #[arg(long, value_name = "NUMBER|any", value_parser = parse_number)]
    history_events: Option<u64>,
    /// How long dead letters are kept, such as 90d; ever: until somebody purges them
    #[arg(long, value_name = "AGE|ever", value_parser = |text: &str| parse_age(text, "ever"))]
    dead: Option<u64>,
    /// How many dead letters are kept in each queue, about, the newest; any: any number
    #[arg(long, value_name = "NUMBER|any", value_parser = parse_number)]
    dead_events: Option<u64>,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

impl Keep {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Read).await?;
        let now: Answer<Topic> = client.get(&api::get(["topics", &self.topic])).await?;
        drop(client);
        session.close_opened().await;
        let letters = (self.dead, self.dead_events);
        if (self.history, self.history_events) == (None, None) && letters == (None, None) {
            if self.rehearsal.dry_run {
                return Err(Failure::usage("what is to be rehearsed? --history, --dead and others say what is kept"));
            }
            return session.output.answer(&now.raw, |output| show(output, &now.value));
        }
        // Of the dead letters both bounds are set at once.
        let some = |bound: u64| Some(bound).filter(|bound| *bound > 0);
        let dead_letters = (letters != (None, None)).then(|| KeptLetters {
            seconds: some(letters.0.unwrap_or(now.value.dead_letter_seconds)),
            events: some(letters.1.unwrap_or(now.value.dead_letter_events)),
        });
        let kept = Kept { history_seconds: self.history, history_events: self.history_events, dead_letters };
        let call = api::put(["topics", &self.topic, "kept"]).json(&kept)?;
        let what = format!("finished event(s) and dead letters of {}, which are deleted", visible(&self.topic));
        let Some(answer) = destroy_counted::<NoLonger, Topic>(session, call, self.rehearsal, &what).await? else {
            return Ok(());
        };
        session.output.answer(&answer.raw, |output| show(output, &answer.value))
    }
}

/// What is no longer kept. Where that is nothing, nobody has to be asked.
#[derive(Deserialize)]
#[serde(transparent)]
struct NoLonger(Affected);

impl Counted for NoLonger {
    fn count(&self) -> u64 {
        self.0.affected
    }

    fn is_at_least(&self) -> bool {
        self.0.at_least
    }

    fn is_to_be_confirmed(&self) -> bool {
        self.0.affected > 0 || self.0.at_least
    }
}

fn show(output: &Output, topic: &Topic) -> Result<()> {
    let number = |most: u64| if most == 0 { "any number".to_string() } else { format!("the newest {most}") };
    let age = |seconds| duration(Duration::from_secs(seconds));
    let (history, letters) = (topic.history_seconds, topic.dead_letter_seconds);
    output.fields([
        ("topic", topic.name.clone()),
        ("finished events", if history == 0 { "deleted at once".to_string() } else { format!("for {}", age(history)) }),
        ("of these", if history == 0 { String::new() } else { number(topic.history_events) }),
        ("dead letters", if letters == 0 { "until purged".to_string() } else { format!("for {}", age(letters)) }),
        ("of these", number(topic.dead_letter_events)),
    ])
}

/// Whole seconds, or 0 for a word that says so.
fn parse_age(text: &str, none: &str) -> Result<u64, String> {
    if text == none {
        return Ok(0);
    }
    let expected = || format!("expected whole seconds at least, as in 7d or 12h, or {none:?}, found {text:?}");
    let age = parse_duration(text).map_err(|_| expected())?;
    if age.is_zero() || age.subsec_nanos() != 0 { Err(expected()) } else { Ok(age.as_secs()) }
}

/// A number, or 0 for any.
fn parse_number(text: &str) -> Result<u64, String> {
    let number = if text == "any" { Some(0) } else { text.parse().ok().filter(|number| *number > 0) };
    number.ok_or_else(|| format!("expected a number from 1 on, or \"any\", found {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_numbers_are_read() {
        for (text, seconds) in [("7d", 604_800), ("90s", 90), ("2000ms", 2), ("no", 0)] {
            assert_eq!(parse_age(text, "no"), Ok(seconds), "{text}");
        }
        for text in ["", "0s", "250ms", "7", "ever", "-1d"] {
            assert!(parse_age(text, "no").is_err(), "{text}");
        }
        assert_eq!((parse_number("5"), parse_number("any")), (Ok(5), Ok(0)));
        for text in ["", "0", "-1", "no", "1.5"] {
            assert!(parse_number(text).is_err(), "{text}");
        }
    }
}
