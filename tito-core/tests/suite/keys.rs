//! Keys sort as values do, escape every text, and are read back exactly.

use std::cmp::Ordering;
use std::ops::{Bound, RangeBounds};

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use proptest::test_runner::Config;
use tito_core::keys::build::{Kind, event_place};
use tito_core::keys::{self, IndexValue, KeyRange};
use uuid::Uuid;

fn encoded(value: &impl IndexValue) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(&mut out).unwrap();
    out
}

fn joined(fields: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (position, field) in fields.iter().enumerate() {
        if position > 0 {
            keys::push_field_separator(&mut out);
        }
        out.extend_from_slice(field);
    }
    out
}

/// Checks the order of one pair, and that neither encoding is the beginning of the other.
fn assert_order<T: IndexValue>(left: &T, right: &T, expected: Ordering) {
    let (left, right) = (encoded(left), encoded(right));
    assert_eq!(left.cmp(&right), expected);
    if expected != Ordering::Equal {
        assert!(!left.starts_with(&right) && !right.starts_with(&left));
    }
}

fn assert_sorted<T: IndexValue>(values: &[T]) {
    for (at, left) in values.iter().enumerate() {
        for (other, right) in values.iter().enumerate() {
            assert_order(left, right, at.cmp(&other));
        }
    }
}

/// Text in which the characters that matter to keys are frequent.
fn any_text() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec!['\0', ' ', '!', '"', '#', '0', '9', ':', ';', '<', 'a', 'é', '🎈']);
    prop::collection::vec(prop_oneof![special, any::<char>()], 0..6).prop_map(String::from_iter)
}

fn any_instant() -> impl Strategy<Value = DateTime<Utc>> {
    let (first, last) = (DateTime::<Utc>::MIN_UTC.timestamp(), DateTime::<Utc>::MAX_UTC.timestamp());
    let seconds = prop_oneof![first..=last, -2i64..2];
    (seconds, 0u32..1_000_000_000).prop_map(|(seconds, nanos)| DateTime::from_timestamp(seconds, nanos).unwrap())
}

#[test]
fn a_range_by_prefix_holds_exactly_the_keys_that_begin_so() {
    let all: [&[u8]; 12] = [
        b"",
        b"\0",
        b"a",
        b"a\0",
        b"a\xfe\xff",
        b"a\xff",
        b"a\xff\xff\xff",
        b"b",
        b"\xff",
        b"\xff\0",
        b"\xff\xff",
        &[255; 5_000],
    ];
    for prefix in all {
        let range = KeyRange::prefix(prefix);
        assert!(!range.is_empty(), "{range:?}");
        for key in all {
            assert_eq!(range.contains(key), key.starts_with(prefix), "{range:?} {key:?}");
            let bounds = RangeBounds::<[u8]>::contains(&range.bounds(), key);
            assert_eq!(bounds, range.contains(key), "{range:?} {key:?}");
        }
    }
    assert_eq!(KeyRange::prefix("").end, None);
    assert_eq!(KeyRange::prefix("a\u{7f}"), KeyRange::new("a\u{7f}", [b'a', 0x80]));
}

#[test]
fn parts_of_ranges_with_and_without_an_end_hold_what_lies_in_both() {
    let keys: Vec<Vec<u8>> = ["", "a", "a\0", "ab", "b", "b\0", "c", "~"].map(|key| key.as_bytes().to_vec()).into();
    let mut ranges = vec![KeyRange::prefix([255])];
    for start in &keys {
        ranges.push(KeyRange::starting_at(start.clone()));
        ranges.extend(keys.iter().map(|end| KeyRange::new(start.clone(), end.clone())));
    }
    for range in &ranges {
        assert_eq!(range.is_empty(), range.end.as_ref().is_some_and(|end| *end <= range.start), "{range:?}");
        for key in &keys {
            let lies = range.contains(key);
            for at in &keys {
                assert_eq!(range.clone().after(at).contains(key), lies && key > at, "{range:?} after {at:?}: {key:?}");
                assert_eq!(
                    range.clone().before(at).contains(key),
                    lies && key < at,
                    "{range:?} before {at:?}: {key:?}"
                );
                let not_before = range.clone().not_before(at.clone());
                assert_eq!(not_before.contains(key), lies && key >= at, "{range:?} not before {at:?}: {key:?}");
            }
            for other in &ranges {
                let both = range.clone().intersection(other.clone());
                assert_eq!(both.contains(key), lies && other.contains(key), "{range:?} and {other:?}: {key:?}");
            }
        }
    }
}

macro_rules! integers_sort_by_value {
    ($($integer:ident)+) => {
        proptest! {
            #![proptest_config(Config { cases: 2_000, failure_persistence: None, ..Config::default() })]
            $(#[test]
            fn $integer(left: std::primitive::$integer, right: std::primitive::$integer, shift in 0..128u32) {
                assert_order(&left, &right, left.cmp(&right));
                // Small numbers, of few digits each.
                let shift = shift % std::primitive::$integer::BITS;
                let (left, right) = (left >> shift, right >> shift);
                assert_order(&left, &right, left.cmp(&right));
            })+
        }
    };
}

mod integers_sort_by_value {
    use super::*;
    integers_sort_by_value!(i8 u8 i16 u16 i32 u32 i64 u64 i128 u128 isize usize);
}

#[test]
fn the_ends_of_integers_are_in_order() {
    assert_sorted(&[
        i128::MIN,
        i128::MIN + 1,
        i64::MIN.into(),
        -100,
        -99,
        -10,
        -9,
        -1,
        0,
        1,
        9,
        10,
        99,
        100,
        i128::MAX,
    ]);
    assert_sorted(&[0, 1, 9, 10, 11, u64::MAX.into(), i128::MAX as u128, u128::MAX - 1, u128::MAX]);
    assert_sorted(&[i8::MIN, -1, 0, 1, i8::MAX]);
    assert_sorted(&[i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX]);
}

#[test]
fn the_ends_of_other_types_are_in_order() {
    let infinity = f64::INFINITY;
    assert_sorted(&[-infinity, f64::MIN, -1.0, -f64::MIN_POSITIVE, -5e-324, 0.0, 5e-324, 1.0, f64::MAX, infinity]);
    assert_sorted(&[f32::NEG_INFINITY, f32::MIN, -1e-45, 0.0, 1e-45, 1.0, f32::MAX, f32::INFINITY]);
    assert_order(&-0.0, &0.0, Ordering::Equal);
    assert_order(&-0.0f32, &0.0, Ordering::Equal);
    assert_sorted(&[false, true]);
    assert_sorted(&['\0', '\u{1f}', ' ', '!', '"', '#', '9', ':', ';', '<', 'a', '\u{7f}', '\u{80}', '🎈', char::MAX]);
    assert_sorted(&[
        "", "\0", "\0\0", " ", "!", "!!", "\"", "#", "9", ":", "::", ";", "<", "a", "a\0", "a!", "a:", "aa",
    ]);
    let instant = |seconds, nanos| DateTime::from_timestamp(seconds, nanos).unwrap();
    assert_sorted(&[
        DateTime::<Utc>::MIN_UTC,
        instant(-62_135_596_800, 0),
        instant(-1, 0),
        instant(-1, 999_999_999),
        instant(0, 0),
        instant(0, 1),
        instant(4_102_444_800, 0),
        DateTime::<Utc>::MAX_UTC,
    ]);
    assert_sorted(&[Uuid::nil(), Uuid::from_u128(1), Uuid::from_u128(u128::MAX / 2), Uuid::max()]);
}

#[test]
fn a_float_that_is_not_a_number_has_no_key() {
    f64::NAN.encode(&mut Vec::new()).unwrap_err();
    f32::NAN.encode(&mut Vec::new()).unwrap_err();
}

proptest! {
    #![proptest_config(Config { cases: 5_000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn floats_sort_by_value(left: f64, right: f64) {
        if let Some(order) = left.partial_cmp(&right) {
            assert_order(&left, &right, order);
            let (left, right) = (left as f32, right as f32);
            assert_order(&left, &right, left.partial_cmp(&right).unwrap());
        }
    }

    #[test]
    fn texts_sort_by_value(left in any_text(), right in any_text()) {
        assert_order(&left, &right, left.cmp(&right));
    }

    #[test]
    fn characters_sort_by_value(left: char, right: char) {
        assert_order(&left, &right, left.cmp(&right));
    }

    #[test]
    fn instants_sort_by_value(left in any_instant(), right in any_instant()) {
        assert_order(&left, &right, left.cmp(&right));
    }

    #[test]
    fn uuids_sort_by_value(left: u128, right: u128) {
        let (left, right) = (Uuid::from_u128(left), Uuid::from_u128(right));
        assert_order(&left, &right, left.cmp(&right));
    }

    #[test]
    fn composites_sort_field_by_field(
        left in (any_text(), -11..11i32, any_text()),
        right in (any_text(), -11..11i32, any_text()),
        same_text: bool,
    ) {
        let right = if same_text { (left.0.clone(), right.1, right.2) } else { right };
        let fields = |value: &(String, i32, String)| joined(&[encoded(&value.0), encoded(&value.1), encoded(&value.2)]);
        prop_assert_eq!(fields(&left).cmp(&fields(&right)), left.cmp(&right));
    }

    #[test]
    fn a_range_holds_exactly_the_entries_between_its_bounds(
        value in (any_text(), -3..3i8),
        start in (any_text(), -3..3i8),
        end in (any_text(), -3..3i8),
        id in any_text(),
        unique: bool,
        whole: bool,
        kinds in (0..3u8, 0..3u8),
    ) {
        let fields = |value: &(String, i8)| {
            if whole { joined(&[encoded(&value.0), encoded(&value.1)]) } else { encoded(&value.0) }
        };
        let (low, high) = (fields(&start), fields(&end));
        fn bound<T>(kind: u8, value: T) -> Bound<T> {
            match kind {
                0 => Bound::Included(value),
                1 => Bound::Excluded(value),
                _ => Bound::Unbounded,
            }
        }
        let range = keys::index_range("t", "i", bound(kinds.0, &low), bound(kinds.1, &high));
        let all = joined(&[encoded(&value.0), encoded(&value.1)]);
        let key = if unique { keys::unique_index_entry("t", "i", &all) } else { keys::index_entry("t", "i", &all, &id) };
        // A bound of the first field only compares the first field only.
        let seen = |value: (String, i8)| if whole { value } else { (value.0, 0) };
        let (value, start, end) = (seen(value), seen(start), seen(end));
        let above = match kinds.0 { 0 => value >= start, 1 => value > start, _ => true };
        let below = match kinds.1 { 0 => value <= end, 1 => value < end, _ => true };
        prop_assert_eq!(range.contains(&key), above && below);
    }

    #[test]
    fn a_text_range_holds_exactly_the_texts_that_begin_so(text in any_text(), prefix in any_text(), cut in 0..7usize) {
        let beginning: String = text.chars().take(cut).collect();
        for prefix in [prefix, beginning] {
            let key = keys::index_entry("t", "i", &encoded(&text), "id");
            let range = keys::index_text_range("t", "i", &prefix);
            prop_assert_eq!(range.contains(&key), text.starts_with(&prefix));
        }
    }

    #[test]
    fn escaping_keeps_the_order_and_is_undone(left: Vec<u8>, right: Vec<u8>) {
        let escaped = |raw: &[u8]| {
            let mut out = Vec::new();
            keys::push_escaped(&mut out, raw);
            out
        };
        prop_assert_eq!(escaped(&left).cmp(&escaped(&right)), left.cmp(&right));
        prop_assert!(!escaped(&left).iter().any(|byte| matches!(byte, b':' | b'!' | 0..=b' ')));
        prop_assert_eq!(keys::unescape(&escaped(&left)), Some(left));
    }

    #[test]
    fn keys_are_read_back(table in any_text(), index in any_text(), id in any_text(), text in any_text(), number: i64) {
        let id = format!("{id}.");
        prop_assert_eq!(keys::parse_row_id(&keys::row(&table, &id)), Some(id.clone()));
        prop_assert!(keys::rows(&table).contains(&keys::row(&table, &id)));
        prop_assert_eq!(keys::parse_topic(&keys::topic(&id)), Some(id.clone()));
        prop_assert!(keys::topics().contains(&keys::topic(&id)));
        let fields = joined(&[encoded(&text), encoded(&number)]);
        let key = keys::index_entry(&table, &index, &fields, &id);
        prop_assert_eq!(keys::parse_index_entry(&key), Some((fields.as_slice(), id)));
        prop_assert_eq!(keys::parse_index_of(&key), Some((table.clone(), index.clone())));
        prop_assert!(keys::index_entries(&table, &index).contains(&key));
        let key = keys::unique_index_entry(&table, &index, &fields);
        prop_assert_eq!(keys::parse_unique_index_entry(&key), Some(fields.as_slice()));
    }

    #[test]
    fn keys_of_events_are_read_back(
        event_type in any_text(), partition in 0..=9_999u16, seconds in 0..=keys::MAX_EVENT_SECONDS, id: u128,
    ) {
        let place = keys::EventPlace { queue: event_type.clone(), partition, seconds, id: Uuid::from_u128(id) };
        for key in [
            keys::event(&event_type, partition, seconds, place.id),
            event_place(Kind::Dead, &event_type, partition, seconds, place.id),
        ] {
            prop_assert_eq!(keys::parse_event_second(&key), Some(seconds));
            prop_assert_eq!(keys::parse_event(&key), Some(place.clone()));
            prop_assert_eq!(keys::parse_event_second_and_id(&key), Some((seconds, place.id)));
        }
    }
}

proptest! {
    #[test]
    fn rows_of_owners_are_read_back_and_are_in_no_other_owners_range(
        owner in any_text(), other in any_text(), key in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let row = keys::owned(&owner, &key);
        prop_assert_eq!(keys::parse_owned(&row), Some((owner.clone(), key.as_slice())));
        prop_assert!(keys::owned_by(&owner).contains(&row));
        prop_assert_eq!(keys::owned_by(&other).contains(&row), other == owner);
        prop_assert_eq!(keys::reserved_prefix(&row), Some("!"));
    }
}

proptest! {
    #![proptest_config(Config { cases: 10_000, failure_persistence: None, ..Config::default() })]

    /// Whatever a parser accepts is exactly what the builder of that key writes.
    #[test]
    fn parsers_take_any_bytes_and_accept_only_what_is_written(
        kind in prop::sample::select(vec!["", "data:", "index:", "event:", "dead:", "data:t:", "index:t:i:", "topic:"]),
        rest in prop::collection::vec(prop_oneof![
            prop::sample::select(b"0123456789abcdef-:;!\"n\0\xff".to_vec()), any::<u8>()
        ], 0..80),
    ) {
        let key = [kind.as_bytes(), &rest].concat();
        if let Some(raw) = keys::unescape(&key) {
            let mut again = Vec::new();
            keys::push_escaped(&mut again, &raw);
            prop_assert_eq!(&again, &key);
        }
        if let Some(id) = keys::parse_row_id(&key) {
            prop_assert!(key.ends_with(&keys::row("", &id)[b"data:".len()..]));
        }
        if let (Some((fields, id)), Some((table, index))) = (keys::parse_index_entry(&key), keys::parse_index_of(&key)) {
            prop_assert_eq!(&keys::index_entry(&table, &index, fields, &id), &key);
        }
        if let (Some(fields), Some((table, index))) = (keys::parse_unique_index_entry(&key), keys::parse_index_of(&key)) {
            prop_assert_eq!(&keys::unique_index_entry(&table, &index, fields), &key);
        }
        if let Some(name) = keys::parse_topic(&key) {
            prop_assert_eq!(&keys::topic(&name), &key);
        }
        keys::parse_event_second(&key);
        if let Some(place) = keys::parse_event(&key) {
            let event = keys::event(&place.queue, place.partition, place.seconds, place.id);
            let dead = event_place(Kind::Dead, &place.queue, place.partition, place.seconds, place.id);
            prop_assert!(key == event || key == dead);
        }
    }

    /// Keys of events with one byte changed: most are no keys, and those that are say exactly where they lie.
    #[test]
    fn a_damaged_event_key_is_refused_or_another_event_s(
        partition in 0..=9_999u16, seconds in 0..=keys::MAX_EVENT_SECONDS, id: u128, at: prop::sample::Index, byte: u8,
    ) {
        let mut key = keys::event("user", partition, seconds, Uuid::from_u128(id));
        let at = at.index(key.len());
        key[at] = byte;
        if let Some(place) = keys::parse_event(&key) {
            prop_assert_eq!(keys::parse_event_second_and_id(&key), Some((place.seconds, place.id)));
            prop_assert_eq!(keys::event(&place.queue, place.partition, place.seconds, place.id), key);
        }
    }
}
