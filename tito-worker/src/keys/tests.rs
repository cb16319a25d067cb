//! The vectors of `docs/format.md` for the keys of the worker, and what parsers take.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;
use tito_core::keys::KeyRange;
use uuid::Uuid;

use crate::keys;

/// The vectors whose names are these, with what they were made of.
fn vectors(kinds: &[&str]) -> Vec<(String, Value, String)> {
    let page = include_str!("../../../docs/format.md");
    let found: Vec<_> = page
        .lines()
        .filter_map(|line| {
            let (kind, rest) = line.split_once(' ').filter(|(kind, _)| kinds.contains(kind))?;
            let (input, expected) = rest.split_once(" => ")?;
            Some((kind.to_string(), serde_json::from_str(input).ok()?, expected.to_string()))
        })
        .collect();
    let seen: BTreeSet<_> = found.iter().map(|(kind, _, _)| kind.as_str()).collect();
    assert_eq!(seen, kinds.iter().copied().collect());
    found
}

#[test]
fn the_keys_are_those_of_the_page() {
    let kinds = [
        "dead",
        "done",
        "copied",
        "moved",
        "lease",
        "member",
        "process",
        "dedup",
        "checkpoint",
        "schedule",
        "operation",
    ];
    for (kind, input, expected) in vectors(&kinds) {
        let text = |at: usize| input[at].as_str().unwrap();
        let id = |at: usize| text(at).parse::<Uuid>().unwrap();
        let partition = || u16::try_from(input[1].as_u64().unwrap()).unwrap();
        let key = match kind.as_str() {
            "dead" => keys::dead_event(text(0), partition(), input[2].as_i64().unwrap(), id(3)),
            "done" => keys::done_event(text(0), partition(), input[2].as_i64().unwrap(), id(3)),
            "copied" => keys::copied_event(text(0), id(1)),
            "moved" => keys::moved_event(text(0), id(1)),
            "lease" => keys::lease(text(0), partition()),
            "member" => keys::member(text(0), id(1)),
            "process" => keys::process(input.as_str().unwrap().parse().unwrap()),
            "operation" => keys::operation(input.as_str().unwrap().parse().unwrap()),
            "dedup" => keys::unique_event(text(0), text(1)),
            "checkpoint" => keys::low_watermark(text(0), partition()),
            _ => keys::schedule(input.as_str().unwrap()),
        };
        assert_eq!(String::from_utf8(key).unwrap(), expected, "{kind} {input}");
    }
}

/// Text in which the characters that matter to keys are frequent.
fn any_name() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec!['\0', ' ', '!', '"', '#', '0', '9', ':', ';', '<', 'a', 'é', '🎈']);
    prop::collection::vec(prop_oneof![special, any::<char>()], 1..6).prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn what_is_built_is_read_back_and_lies_in_its_own_range(
        name in any_name(), other in any_name(), partition in 0..=9_999u16, id: u128,
    ) {
        let id = Uuid::from_u128(id);
        prop_assert_eq!(keys::parse_schedule(&keys::schedule(&name)), Some(name.clone()));
        prop_assert!(keys::schedules().contains(&keys::schedule(&name)));
        prop_assert_eq!(keys::parse_process(&keys::process(id)), Some(id));
        prop_assert_eq!(keys::parse_operation(&keys::operation(id)), Some(id));
        prop_assert_eq!(keys::parse_member(&keys::member(&name, id)), Some((name.clone(), id)));
        prop_assert_eq!(keys::parse_lease(&keys::lease(&name, partition)), Some((name.clone(), partition)));
        prop_assert_eq!(keys::parse_moved_event_id(&keys::moved_event(&name, id)), Some(id));
        let is_apart = |range: fn(&str) -> KeyRange, key: Vec<u8>| {
            range(&name).contains(&key) && range(&other).contains(&key) == (name == other)
        };
        prop_assert!(is_apart(keys::members, keys::member(&name, id)));
        prop_assert!(is_apart(keys::leases, keys::lease(&name, partition)));
        prop_assert!(is_apart(keys::moved_events, keys::moved_event(&name, id)));
        prop_assert!(is_apart(keys::copied_events, keys::copied_event(&name, id)));
        prop_assert!(is_apart(keys::low_watermarks, keys::low_watermark(&name, partition)));
        prop_assert!(is_apart(keys::dead_events, keys::dead_event(&name, partition, 17, id)));
        prop_assert!(is_apart(keys::done_events, keys::done_event(&name, partition, 17, id)));
    }

    /// Whatever a parser accepts is exactly what the builder of that key writes.
    #[test]
    fn parsers_take_any_bytes_and_accept_only_what_is_written(
        kind in prop::sample::select(vec!["lease:", "member:", "process:", "schedule:", "!moved:", "lease:q:", "member:f:"]),
        rest in prop::collection::vec(prop_oneof![
            prop::sample::select(b"0123456789abcdef-:;!\"n\0\xff".to_vec()), any::<u8>()
        ], 0..50),
    ) {
        let key = [kind.as_bytes(), &rest].concat();
        if let Some(name) = keys::parse_schedule(&key) {
            prop_assert_eq!(&keys::schedule(&name), &key);
        }
        if let Some((queue, partition)) = keys::parse_lease(&key) {
            prop_assert!(partition <= 9_999);
            prop_assert_eq!(&keys::lease(&queue, partition), &key);
        }
        if let Some((fleet, worker)) = keys::parse_member(&key) {
            prop_assert_eq!(&keys::member(&fleet, worker), &key);
        }
        if let Some(worker) = keys::parse_process(&key) {
            prop_assert_eq!(&keys::process(worker), &key);
        }
    }
}
