//! Floats round-trip where this crate is used alone: no other crate of the workspace turns that on.

use tito_core::event::TitoEvent;

/// The value as an event's payload has it.
fn read_back(value: f64) -> f64 {
    let key = b"event:job:0000:0000000000:018bcfe5-6800-7000-8000-000000000000";
    let stored = format!(
        r#"{{"id":"018bcfe5-6800-7000-8000-000000000000","type":"job","entity":"a","action":"b","timestamp":0,
            "attempt":0,"payload":{value:?}}}"#
    );
    TitoEvent::decode(key, stored.as_bytes()).unwrap().payload().unwrap()
}

#[test]
fn floats_of_any_bits_are_read_as_they_were_written() {
    for value in [117.63331139400017, -0.0, 5e-324, f64::MIN_POSITIVE, f64::MAX, 1e23] {
        assert_eq!(read_back(value).to_bits(), value.to_bits(), "{value}");
    }
    let mut random = fastrand::Rng::with_seed(2);
    for _ in 0..20_000 {
        let value = f64::from_bits(random.u64(..));
        if value.is_finite() {
            assert_eq!(read_back(value).to_bits(), value.to_bits(), "{value}");
        }
    }
}
