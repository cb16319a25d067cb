//! The vectors of `docs/format.md` for the keys of event stores.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::keys;

const KINDS: [&str; 13] = [
    "store",
    "dropped_log",
    "log_event",
    "log_entity_event",
    "log_last_of_entity",
    "log_id",
    "log_command",
    "log_snapshot",
    "log_snapshot_version",
    "log_gone_of_entity",
    "log_gone_of_type",
    "log_reactor",
    "log_view",
];

#[test]
fn the_keys_are_those_of_the_page() {
    let mut seen = BTreeSet::new();
    for line in include_str!("../../../docs/format.md").lines() {
        let Some((kind, rest)) = line.split_once(' ').filter(|(kind, _)| KINDS.contains(kind)) else { continue };
        let (input, expected) = rest.split_once(" => ").unwrap();
        let input: Value = serde_json::from_str(input).unwrap();
        let text = |at: usize| input[at].as_str().unwrap();
        let number = |at: usize| input[at].as_u64().unwrap();
        // The numbers of stores are text, which JSON's readers leave as it is.
        let store = || text(0).parse::<u64>().unwrap();
        let key = match kind {
            "store" => keys::event_store(input.as_str().unwrap()),
            "dropped_log" => keys::dropped_log(input.as_str().unwrap().parse().unwrap()),
            "log_event" => keys::log_event(store(), number(1)),
            "log_entity_event" => keys::log_entity_event(store(), text(1), text(2), number(3)),
            "log_last_of_entity" => keys::log_last_of_entity(store(), text(1), text(2)),
            "log_id" => keys::log_id(store(), text(1)),
            "log_command" => keys::log_command(store(), text(1)),
            "log_snapshot" => keys::log_snapshot(store(), text(1), text(2)),
            "log_snapshot_version" => {
                let version = u32::try_from(number(3)).unwrap();
                let key = keys::log_snapshot_version(store(), text(1), text(2), version);
                assert_eq!(keys::parse_log_snapshot_version(&key), Some(version));
                assert!(keys::log_snapshot_versions(store(), text(1), text(2)).contains(&key));
                key
            }
            "log_gone_of_entity" => keys::log_gone_of_entity(store(), text(1), text(2)),
            "log_gone_of_type" => keys::log_gone_of_type(store(), text(1)),
            "log_reactor" => {
                let key = keys::log_reactor(store(), text(1));
                assert_eq!(keys::parse_log_reactor(&key).as_deref(), Some(text(1)));
                assert!(keys::log_reactors(store()).contains(&key));
                key
            }
            _ => keys::log_view(store(), text(1), number(2)),
        };
        assert_eq!(String::from_utf8(key).unwrap(), expected, "{kind} {input}");
        seen.insert(kind);
    }
    assert_eq!(seen, KINDS.into());
}

#[test]
fn a_sequence_past_the_last_has_the_key_of_no_event() {
    let all = keys::log_events_between(7, 0, u64::MAX);
    let last = keys::log_event(7, keys::MAX_SEQUENCE);
    assert!(all.contains(&last));
    for past in [keys::MAX_SEQUENCE + 1, u64::MAX] {
        let key = keys::log_event(7, past);
        assert_ne!(key, last);
        assert_eq!(keys::parse_log_sequence(&key), None);
        assert!(keys::log_events_between(7, past, u64::MAX).is_empty());
        assert!(keys::log(7).contains(&key), "it leaves the store");
    }
}
