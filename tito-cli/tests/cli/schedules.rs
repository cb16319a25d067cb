//! Schedules: other times, given back, fired; and pauses that end by themselves.

use tito_core::prelude::*;
use tito_worker::Schedule;
use tito_worker::prelude::*;

use crate::support::Closed;

async fn with_schedules(names: &[&str]) -> Closed {
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    for name in names {
        let schedule = Schedule::cron(*name, "0 3 * * *").publishes(Publish::new("mail", "system").action("nightly"));
        TitoQueue::new(db.clone()).put_schedule(schedule).await.unwrap();
    }
    db.close().await;
    closed
}

#[tokio::test]
async fn times_are_set_given_back_and_a_firing_is_now() {
    let closed = with_schedules(&["nightly"]).await;
    closed.run(&["schedules", "set", "nightly", "--every", "15m"]).said();
    let shown = closed.run(&["schedules", "show", "nightly", "--json"]).json();
    assert_eq!(shown["recurrence"]["every"]["seconds"], 900, "{shown}");
    assert!(shown["declared"]["cron"]["expression"] == "0 3 * * *" && shown["overridden_since"].is_i64(), "{shown}");
    assert!(closed.run(&["schedules", "show", "nightly"]).said().contains("by its application"));

    let said = closed.run(&["schedules", "unset", "nightly", "--why", "it is over"]).said();
    assert!(said.contains("nightly has the times of its application"), "{said}");
    let shown = closed.run(&["schedules", "show", "nightly", "--json"]).json();
    assert_eq!(shown["recurrence"]["cron"]["expression"], "0 3 * * *", "{shown}");
    assert!(shown["declared"].is_null() && shown["overridden_since"].is_null(), "{shown}");

    let before = closed.run(&["stats", "mail", "--json"]).json()["items"][0]["total"]["due"].as_u64().unwrap();
    assert!(closed.run(&["schedules", "fire", "nightly"]).said().contains("nightly was fired"));
    let after = closed.run(&["stats", "mail", "--json"]).json()["items"][0]["total"]["due"].as_u64().unwrap();
    assert_eq!(after, before + 1);
    for verb in ["unset", "fire"] {
        closed.run(&["schedules", verb, "none"]).failed(3);
    }
}

#[tokio::test]
async fn a_listing_goes_on_where_it_was_and_a_schedule_is_found_on_any_page() {
    let closed = with_schedules(&["c", "a", "e", "b", "d"]).await;
    let (mut names, mut after) = (Vec::new(), None::<String>);
    loop {
        let mut arguments = vec!["schedules", "list", "--json", "--limit", "2"];
        if let Some(after) = &after {
            arguments.extend(["--after", after]);
        }
        let page = closed.run(&arguments).json();
        names.extend(page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_string()));
        let Some(next) = page["next"].as_str() else { break };
        after = Some(next.to_string());
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    assert!(closed.run(&["schedules", "list", "--limit", "2"]).err.contains("--after 'b'"));
    assert!(closed.run(&["schedules", "show", "e"]).said().contains("0 3 * * *"));
}

#[tokio::test]
async fn a_pause_ends_when_it_is_to() {
    let closed = Closed::with_events().await;
    let state = |closed: &Closed| closed.run(&["stats", "mail", "--json"]).json()["items"][0].clone();
    closed.run(&["pause", "mail", "--until", "+1h"]).said();
    let paused = state(&closed);
    let until = paused["paused_until"].as_i64().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    assert!(paused["is_paused"] == true && (until - now - 3_600).abs() < 600, "{paused}");
    closed.run(&["pause", "mail", "--until", "2999-01-01"]).said();
    assert_eq!(state(&closed)["paused_until"], 32_472_144_000_i64);
    closed.run(&["resume", "mail"]).said();
    let resumed = state(&closed);
    assert!(resumed["is_paused"] == false && resumed["paused_until"].is_null(), "{resumed}");
    closed.run(&["pause", "mail", "--until", "tomorrow"]).failed(2);
    closed.run(&["pause", "none", "--until", "+1h"]).failed(3);
    // One that is over already resumes it.
    closed.run(&["pause", "mail"]).said();
    closed.run(&["pause", "mail", "--until", "-1h"]).said();
    assert_eq!(state(&closed)["is_paused"], false);
}
