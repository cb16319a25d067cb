//! What destroys is confirmed.

use crate::support::Closed;

#[tokio::test]
async fn nothing_is_destroyed_where_nobody_confirms() {
    let closed = Closed::with_events().await;
    let before = closed.run(&["stats", "--json"]).json();
    for (arguments, count) in [
        (&["purge", "mail"][..], "3 events"),
        (&["dead", "purge", "mail", "--all"], "1 dead letter "),
        (&["groups", "remove", "mail", "none"], "none"),
    ] {
        let refused = closed.run(arguments);
        // A group that there is not is found out first.
        let code = if arguments[0] == "groups" { 3 } else { 7 };
        let said = refused.failed(code);
        assert!(said.contains(count), "{arguments:?}: {said}");
    }
    let mut after = closed.run(&["stats", "--json"]).json();
    for (after, before) in after["items"].as_array_mut().unwrap().iter_mut().zip(before["items"].as_array().unwrap()) {
        after["counted_at"] = before["counted_at"].clone();
        after["total"]["oldest_due_seconds"] = before["total"]["oldest_due_seconds"].clone();
        after["partitions"] = before["partitions"].clone();
    }
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_rehearsal_says_how_much_and_does_nothing() {
    let closed = Closed::with_events().await;
    let said = closed.run(&["purge", "mail", "--dry-run"]).said();
    assert!(said.contains("3 events of mail") && said.contains("nothing was done"), "{said}");
    assert_eq!(closed.run(&["purge", "mail", "--dry-run", "--json"]).json()["affected"], 3);
    // Also where it was confirmed.
    assert_eq!(closed.run(&["purge", "mail", "--dry-run", "--yes", "--json"]).json()["affected"], 3);
    assert_eq!(closed.run(&["stats", "mail", "--json"]).json()["items"][0]["total"]["pending"], 3);
}
