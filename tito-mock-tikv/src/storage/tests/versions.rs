//! A key with very many versions.
use super::*;

const VERSIONS: u64 = 1_000_000;

fn start_of(version: u64) -> u64 {
    10 * (version + 1)
}

#[test]
fn old_transactions_are_found_among_a_million_versions_and_their_memory_goes_back() {
    let storage = TestStorage::default();
    storage.inner.with(|state| {
        let mut changes = crate::storage::changes::Changes::default();
        for version in 0..VERSIONS {
            let start_ts = start_of(version);
            let write = crate::storage::records::Write {
                kind: crate::storage::records::WriteKind::Put,
                short_value: Some(Vec::new()),
                ..crate::storage::records::Write::rollback(start_ts, false)
            };
            changes.put_write(b"k", start_ts + 5, write);
        }
        state.apply(changes);
    });
    assert_eq!(storage.sizes().writes as u64, VERSIONS);
    // Uses every call that asks about the fate of an old transaction; if each walked over the versions, this would take
    // ten thousand million steps.
    for version in (0..VERSIONS).step_by(100) {
        let start_ts = start_of(version);
        let request = CheckTxnStatusRequest { primary_key: b"k".to_vec(), lock_ts: start_ts, ..Default::default() };
        assert_eq!(storage.status(request).commit_version, start_ts + 5);
        assert!(storage.try_roll_back(&["k"], start_ts).unwrap().abort.contains("Committed"));
        let unknown = CheckTxnStatusRequest { primary_key: b"k".to_vec(), lock_ts: start_ts + 1, ..Default::default() };
        assert!(storage.check_txn_status(&unknown).error.unwrap().txn_not_found.is_some());
    }
    storage.collect_garbage(start_of(VERSIONS));
    assert_eq!(storage.sizes().writes, 1);
    assert_eq!(storage.inner.with(|state| state.history(b"k").capacity()), 1);
}
