//! `traceparent` and `tracestate` are read strictly and written as they were read.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tito_core::trace::TraceContext;

const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn parse(text: &str) -> Option<TraceContext> {
    text.parse().ok()
}

#[test]
fn a_traceparent_is_written_as_it_was_read() {
    let context = parse(VALID).unwrap();
    assert_eq!(context.trace_id(), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
    assert_eq!(context.parent_id(), 0x00f0_67aa_0ba9_02b7);
    assert!(context.is_sampled());
    assert_eq!(context.to_string(), VALID);
    assert!(!parse(&VALID.replace("-01", "-00")).unwrap().is_sampled());
}

#[test]
fn flags_that_version_00_does_not_define_are_not_passed_on() {
    assert_eq!(parse(&VALID.replace("-01", "-ff")).unwrap().to_string(), VALID);
    assert_eq!(parse(&VALID.replace("-01", "-fe")).unwrap().flags(), 0);
}

#[test]
fn a_later_version_is_read_by_the_parts_that_stay_and_written_as_version_00() {
    let later = VALID.replacen("00", "cc", 1);
    for text in [later.clone(), format!("{later}-"), format!("{later}-what-the-future-will-be-like")] {
        assert_eq!(parse(&text).unwrap().to_string(), VALID, "{text}");
    }
    assert_eq!(parse(&format!("{later}.what")), None);
    assert_eq!(parse(&format!("{later}0")), None);
}

#[test]
fn what_the_specification_forbids_is_refused_with_a_reason() {
    let refused = [
        (String::new(), "shorter"),
        (VALID[..54].to_string(), "shorter"),
        (format!("{VALID}-00"), "55 characters long"),
        (format!("{VALID} "), "55 characters long"),
        (VALID.replacen("00", "ff", 1), "version ff"),
        (VALID.replacen("00", "0X", 1), "hexadecimal"),
        (VALID.to_uppercase(), "hexadecimal"),
        (VALID.replace('-', "_"), "separated"),
        (VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)), "zeros"),
        (VALID.replace("00f067aa0ba902b7", &"0".repeat(16)), "zeros"),
        (VALID.replace("00f067aa0ba902b7", "+0f067aa0ba902b7"), "hexadecimal"),
        ("é".repeat(30), "separated"),
    ];
    for (text, reason) in refused {
        let error = text.parse::<TraceContext>().unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn ten_thousand_malformed_headers_are_refused() {
    let seed = std::env::var("TITO_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("TITO_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..10_000 {
        let mut text = VALID.as_bytes().to_vec();
        // The version stays, as another one can have more after the flags.
        match random.u8(..4) {
            0 => text.truncate(random.usize(..text.len())),
            1 => text.insert(random.usize(2..=text.len()), random.u8(b' '..=b'~')),
            2 => {
                let dashes_and_digits = random.usize(2..text.len());
                text[dashes_and_digits] = random.choice(*b"ABCDEFGXYZ .,:;_/+\0\n").unwrap();
            }
            _ => text = (0..random.usize(..80)).map(|_| random.u8(1..128)).collect(),
        }
        let text = String::from_utf8(text).unwrap();
        assert_eq!(parse(&text), None, "{text:?}");
    }
}

#[test]
fn a_child_belongs_to_the_trace_and_has_an_id_of_its_own() {
    let root = TraceContext::new_root().with_state("vendor=1");
    let child = root.child();
    assert!(root.is_sampled());
    assert_eq!((child.trace_id(), child.flags(), child.state()), (root.trace_id(), root.flags(), Some("vendor=1")));
    assert_ne!(child.parent_id(), root.parent_id());
    assert_ne!(TraceContext::new_root().trace_id(), root.trace_id());
    assert!(!root.sampled(false).child().is_sampled());
}

#[test]
fn a_tracestate_is_kept_where_it_is_well_formed_and_never_spoils_the_traceparent() {
    let kept = ["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "a=1", "1tenant@vendor=x y", " a=1 ,\tb=2", "a=1,,b=2"];
    let left_out = [
        "",
        ",",
        "a",
        "A=1",
        "a=",
        "a=1=2",
        "=1",
        "a=é",
        "1a=2",
        "a@=1",
        &"a=1,".repeat(33),
        &format!("a={}", "x".repeat(257)),
        &"a=xxxxxxxxxxxxxxxxxxxxxxxxxxxxx,".repeat(17),
    ];
    let read = |state: &str| {
        let headers = BTreeMap::from([("traceparent", VALID), ("tracestate", state)]);
        let headers = headers.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        TraceContext::from_headers(&headers).unwrap()
    };
    for state in kept {
        assert_eq!(read(state).state(), Some(state));
        let mut headers = BTreeMap::new();
        read(state).write_to(&mut headers);
        assert_eq!(TraceContext::from_headers(&headers), Some(read(state)));
    }
    for state in left_out {
        assert_eq!(read(state), parse(VALID).unwrap(), "{state}");
    }
}

#[test]
fn headers_that_are_written_leave_nothing_of_another_trace() {
    let mut headers = BTreeMap::new();
    TraceContext::new_root().with_state("a=1").write_to(&mut headers);
    let other = TraceContext::new_root();
    other.write_to(&mut headers);
    assert_eq!(TraceContext::from_headers(&headers), Some(other));
    assert_eq!(headers.len(), 1);
}

#[tokio::test]
async fn the_innermost_scope_is_current_and_ends_with_its_work() {
    let (outer, inner) = (TraceContext::new_root(), TraceContext::new_root());
    outer
        .clone()
        .scope(async {
            inner.clone().scope(async { assert_eq!(TraceContext::current(), Some(inner.clone())) }).await;
            assert_eq!(TraceContext::current(), Some(outer.clone()));
        })
        .await;
    assert_eq!(TraceContext::current(), None);
}

proptest! {
    #[test]
    fn no_text_makes_the_readers_panic(parent in ".{0,80}", state in ".{0,80}") {
        let context = parse(&parent).unwrap_or_else(TraceContext::new_root);
        let _ = context.with_state(&state);
    }

    #[test]
    fn every_valid_traceparent_survives_a_round_trip(trace in 1u128.., parent in 1u64.., sampled: bool) {
        let text = format!("00-{trace:032x}-{parent:016x}-0{}", u8::from(sampled));
        prop_assert_eq!(parse(&text).unwrap().to_string(), text);
    }
}
