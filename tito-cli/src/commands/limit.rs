//! `tito limit`.

use clap::Args;
use tito_console::api::{Limits, Rate};

use super::change::make;
use crate::api;
use crate::failure::Result;
use crate::output::{parse_duration, visible};
use crate::session::{Session, Use};

/// Sets how fast a queue is handled, while workers run, in place of what its subscriptions say. What is omitted is left
/// to them.
#[derive(Debug, Args)]
pub(crate) struct Limit {
    /// The queue: TOPIC or TOPIC@GROUP
    queue: String,
    /// How many events in a time, such as 5/s, 100/m, 1000/1h
    #[arg(long, value_name = "RATE", value_parser = parse_rate, required_unless_present_any = ["concurrency", "none"])]
    rate: Option<Rate>,
    /// How many handlers each worker runs at once
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: Option<u32>,
    /// Leaves it to the subscriptions
    #[arg(long, conflicts_with_all = ["rate", "concurrency"])]
    none: bool,
}

impl Limit {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Change).await?;
        let limits = Limits { rate: self.rate, concurrency: self.concurrency };
        let call = api::put(["queues", &self.queue, "limits"]).json(&limits)?;
        let done = if self.none { "is handled as its subscriptions say" } else { "is handled within these limits" };
        make(session, &client, call, format!("{} {done}", visible(&self.queue))).await
    }
}

pub(crate) fn parse_rate(text: &str) -> Result<Rate, String> {
    let expected = || format!("expected a number and a span of whole seconds, as 5/s or 100/10m, found {text:?}");
    let (events, span) = text.split_once('/').ok_or_else(expected)?;
    let span =
        if span.starts_with(|digit: char| digit.is_ascii_digit()) { span.to_string() } else { format!("1{span}") };
    let (events, span) = (events.parse().map_err(|_| expected())?, parse_duration(&span)?);
    let seconds = u32::try_from(span.as_secs()).ok().filter(|_| span.subsec_nanos() == 0).ok_or_else(expected)?;
    if events == 0 || seconds == 0 {
        return Err(expected());
    }
    Ok(Rate { events, seconds })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn rates_are_read() {
        for (text, events, seconds) in [("5/s", 5, 1), ("100/m", 100, 60), ("7/10m", 7, 600), ("1/1d", 1, 86_400)] {
            let rate = parse_rate(text).unwrap();
            assert_eq!((rate.events, rate.seconds), (events, seconds), "{text}");
        }
        for text in ["", "5", "0/s", "5/", "5/ms", "x/s", "-1/s", "5/0s"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }
}
