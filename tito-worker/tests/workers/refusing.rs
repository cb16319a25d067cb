//! Payloads and progress that JSON has no form for, or that no handler could read.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Harness, TestClock};
use tito_worker::Advance;
use tito_worker::prelude::*;

use crate::support::*;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Report {
    value: f64,
    option: Option<f64>,
    any: Value,
    #[serde(flatten)]
    more: BTreeMap<String, u128>,
}

impl TitoJob for Report {
    const NAME: &'static str = "report";
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, _| json!([inner]))
}

/// What can't be written, and where.
fn bad() -> Vec<(Report, &'static str)> {
    vec![
        (Report { value: f64::NAN, ..Report::default() }, "value"),
        (Report { value: f64::INFINITY, ..Report::default() }, "value"),
        (Report { option: Some(f64::NAN), ..Report::default() }, "option"),
        (Report { any: json!({ "a": [nested(125)] }), ..Report::default() }, "any"),
    ]
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, TitoError>, path: &str) {
    let error = result.unwrap_err();
    let TitoError::Unserializable { path: named, .. } = &error else { panic!("{error:?}") };
    assert!(named.starts_with(path), "{named:?} is not {path:?}: {error}");
    assert!(error.to_string().contains(path), "{error}");
}

#[test]
fn a_payload_without_a_form_in_json_is_refused_with_the_field() {
    for (report, path) in bad() {
        assert_refused(Publish::new("report", "a").payload(&report), path);
        assert_refused(Publish::job("a", &report), path);
        assert_refused(Publish::new("report", "a").payload(&vec![Some(&report)]), &format!("[0].{path}"));
    }
    let flattened = Report { more: BTreeMap::from([("x".to_string(), u128::MAX)]), ..Report::default() };
    assert_refused(Publish::new("report", "a").payload(&flattened), "x");
    assert_refused(Publish::job("a", &flattened), "");
    assert_refused(Publish::new("report", "a").payload(&BTreeMap::from([(vec![1], 1)])), "");
    drop(Publish::new("report", "a").payload(&nested(127)).unwrap());
    assert_refused(Publish::new("report", "a").payload(&nested(128)), "");
    // Text that is JSON already.
    let raw = |text: String| RawValue::from_string(text).unwrap();
    let deep = |depth| raw(nested(depth).to_string());
    drop(Publish::new("report", "a").payload(&deep(127)).unwrap());
    assert_refused(Publish::new("report", "a").payload(&deep(128)), "");
    assert_refused(Publish::new("report", "a").payload(&json!({ "a": 1 }).as_object().map(|_| [deep(127)])), "[0]");
    assert_refused(Publish::new("report", "a").payload(&raw("1e999".to_string())), "");
    drop(Publish::new("report", "a").payload(&raw(r#"{"brackets": "[[[\\\"[[["}"#.to_string())).unwrap());
}

/// Whoever reads a payload can't be known where it is published; of a job it can.
#[test]
fn an_integer_of_more_than_64_bits_is_refused_where_its_reader_is_not_known() {
    #[derive(Serialize, Deserialize)]
    struct Wide {
        wide: u128,
        signed: Vec<i128>,
    }

    impl TitoJob for Wide {
        const NAME: &'static str = "wide";
    }

    let (most, least) = (u128::from(u64::MAX), i128::from(i64::MIN));
    let wide = |wide, signed| Wide { wide, signed: vec![0, signed] };
    for fits in [wide(0, 0), wide(most, least), wide(1, most as i128)] {
        drop(Publish::new("report", "a").payload(&fits).unwrap());
    }
    for (too_wide, path) in
        [(wide(most + 1, 0), "wide"), (wide(0, least - 1), "signed[1]"), (wide(0, most as i128 + 1), "signed[1]")]
    {
        assert_refused(Publish::new("report", "a").payload(&too_wide), path);
        assert_refused(Publish::new("report", "a").payload(&Some(&too_wide)), path);
        assert_refused(Advance::to(&too_wide), path);
        drop(Publish::job("a", &too_wide).unwrap());
        drop(Advance::to_job(&too_wide).unwrap());
    }
    // Text that is JSON already is no way round it.
    for (text, fits) in [
        ("18446744073709551615", true),
        ("18446744073709551616", false),
        ("-9223372036854775808", true),
        ("-9223372036854775809", false),
        ("18446744073709551616.0", true),
        ("1e20", true),
        (r#"{"a": [0, "99999999999999999999", "\"99999999999999999999", "\\"]}"#, true),
        (r#"{"99999999999999999999": -0}"#, true),
        (r#"{"a": ["\\", 99999999999999999999]}"#, false),
    ] {
        let raw = [RawValue::from_string(text.to_string()).unwrap()];
        let results = [Publish::new("report", "a").payload(&raw).map(drop), Advance::to(&raw).map(drop)];
        for result in results {
            if fits { result.unwrap() } else { assert_refused(result, "[0]") }
        }
    }
}

/// What a reader of any type may find is what a reader of any type can take.
#[test]
fn a_step_that_its_topic_can_not_read_is_refused() {
    let flattened = Report { more: BTreeMap::from([("x".to_string(), u128::MAX)]), ..Report::default() };
    assert_refused(Advance::to(&flattened), "x");
    assert_refused(Advance::to_job(&flattened), "");
    for (report, path) in bad() {
        assert_refused(Advance::to(&report), path);
        assert_refused(Advance::to_job(&report), path);
    }
}

#[fact]
pub async fn progress_without_a_form_in_json_is_refused_and_the_last_one_stays(db: Database, clock: TestClock) {
    publish(&db, [job("a")]).await;
    let queue = TitoQueue::new(db.clone());
    let handler = move |event: TitoEvent| {
        let queue = queue.clone();
        async move {
            if event.attempt() == 1 {
                assert!(queue.record_progress(&event, &0.5).await?);
                for (report, path) in bad() {
                    assert_refused(queue.record_progress(&event, &report).await, path);
                }
                let raw = RawValue::from_string(u128::MAX.to_string()).unwrap();
                assert_refused(queue.record_progress(&event, &vec![raw]).await, "[0]");
                assert_refused(queue.record_progress(&event, &(1, i128::MIN)).await, "[1]");
                return Err(error("again"));
            }
            assert_eq!(event.progress::<f64>()?, Some(0.5));
            Ok(())
        }
    };
    let mut harness = Harness::new(&db, &clock).subscribe("job", handler);
    harness.drain().await.unwrap();
    let handled = harness.advance(Duration::from_secs(3_600)).await.unwrap();
    assert!(handled.len() == 1 && handled[0].outcome.is_ok(), "{handled:?}");
}
