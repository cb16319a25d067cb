use super::*;

/// Only checks that no request panics: random ones with empty keys, unknown enum values and extreme numbers.
#[tokio::test]
async fn no_request_panics() {
    for seed in 0..40 {
        println!("seed {seed}");
        let storage = TestStorage::default();
        let mut odd = Odd(fastrand::Rng::with_seed(seed));
        for _ in 0..250 {
            odd.send(&storage).await;
        }
        storage.collect_garbage(odd.number());
        storage.locks();
        storage.sizes();
    }
}

struct Odd(fastrand::Rng);

impl Odd {
    fn number(&mut self) -> u64 {
        [0, 1, 2, 3, 1 << 18, u64::MAX - 1, u64::MAX][self.0.usize(0..7)]
    }

    fn key(&mut self) -> Vec<u8> {
        [&b""[..], b"a", b"a\0", b"\xff\xff", &[0; 20]][self.0.usize(0..5)].to_vec()
    }

    fn keys(&mut self) -> Vec<Vec<u8>> {
        (0..self.0.usize(0..4)).map(|_| self.key()).collect()
    }

    fn value(&mut self) -> Vec<u8> {
        vec![1; [0, 1, 300][self.0.usize(0..3)]]
    }

    fn mutations(&mut self) -> Vec<Mutation> {
        (0..self.0.usize(0..4))
            .map(|_| {
                let (key, value) = (self.key(), self.value());
                Mutation { op: self.0.i32(-1..9), key, value, assertion: self.0.i32(-1..4), ..Mutation::default() }
            })
            .collect()
    }

    fn region(&mut self) -> RegionRange {
        RegionRange { start: self.key(), end: self.key() }
    }

    fn context(&mut self) -> Option<Context> {
        let isolation_level = self.0.i32(-1..4);
        let (resolved_locks, committed_locks) = (vec![self.number()], vec![self.number()]);
        self.0.bool().then(|| Context { isolation_level, resolved_locks, committed_locks, ..Context::default() })
    }

    fn constraints(&mut self) -> Vec<prewrite_request::ForUpdateTsConstraint> {
        let (index, expected_for_update_ts) = (self.0.u32(0..3), self.number());
        vec![
            prewrite_request::ForUpdateTsConstraint {
                index,
                expected_for_update_ts,
                ..prewrite_request::ForUpdateTsConstraint::default()
            };
            self.0.usize(0..2)
        ]
    }

    async fn send(&mut self, storage: &TestStorage) {
        let context = self.context();
        let (key, end_key, keys, region) = (self.key(), self.key(), self.keys(), self.region());
        let (start_version, other, third) = (self.number(), self.number(), self.number());
        let limit = [0, 1, u32::MAX][self.0.usize(0..3)];
        let reverse = self.0.bool();
        match self.0.u8(0..20) {
            0 => drop(storage.get(&GetRequest { context, key, version: start_version, ..Default::default() })),
            1 => drop(storage.batch_get(&BatchGetRequest {
                context,
                keys,
                version: start_version,
                ..Default::default()
            })),
            2 => {
                let (start_key, version, key_only) = (key, start_version, false);
                let request = ScanRequest {
                    context,
                    start_key,
                    limit,
                    version,
                    key_only,
                    reverse,
                    end_key,
                    ..Default::default()
                };
                storage.scan(&request, &region);
            }
            3..=6 => {
                storage.prewrite(&PrewriteRequest {
                    context,
                    mutations: self.mutations(),
                    primary_lock: key,
                    start_version,
                    lock_ttl: other,
                    skip_constraint_check: self.0.bool(),
                    pessimistic_actions: vec![self.0.i32(-1..4), self.0.i32(-1..4)],
                    txn_size: third,
                    for_update_ts: self.number(),
                    min_commit_ts: self.number(),
                    use_async_commit: self.0.bool(),
                    secondaries: keys,
                    try_one_pc: self.0.bool(),
                    max_commit_ts: self.number(),
                    assertion_level: self.0.i32(-1..4),
                    for_update_ts_constraints: self.constraints(),
                    ..PrewriteRequest::default()
                });
            }
            7 | 8 => drop(storage.commit(&CommitRequest {
                context,
                start_version,
                keys,
                commit_version: other,
                ..Default::default()
            })),
            9 => drop(storage.batch_rollback(&BatchRollbackRequest {
                context,
                start_version,
                keys,
                ..Default::default()
            })),
            10 => drop(storage.cleanup(&CleanupRequest {
                context,
                key,
                start_version,
                current_ts: other,
                ..CleanupRequest::default()
            })),
            11 | 12 => {
                storage.check_txn_status(&CheckTxnStatusRequest {
                    context,
                    primary_key: key,
                    lock_ts: start_version,
                    caller_start_ts: other,
                    current_ts: third,
                    rollback_if_not_exist: self.0.bool(),
                    force_sync_commit: self.0.bool(),
                    resolving_pessimistic_lock: self.0.bool(),
                    verify_is_primary: self.0.bool(),
                    ..Default::default()
                });
            }
            13 => drop(storage.check_secondary_locks(&CheckSecondaryLocksRequest {
                context,
                keys,
                start_version,
                ..CheckSecondaryLocksRequest::default()
            })),
            14 => {
                let txn_infos = vec![TxnInfo { txn: other, status: third, ..TxnInfo::default() }; self.0.usize(0..2)];
                let commit_version = other;
                let request = ResolveLockRequest {
                    context,
                    start_version,
                    commit_version,
                    txn_infos,
                    keys,
                    ..Default::default()
                };
                storage.resolve_lock(&request, &region);
            }
            15 => {
                let request = ScanLockRequest {
                    context,
                    max_version: other,
                    start_key: key,
                    limit,
                    end_key,
                    ..ScanLockRequest::default()
                };
                storage.scan_lock(&request, &region);
            }
            16 | 17 => {
                let request = PessimisticLockRequest {
                    context,
                    mutations: self.mutations(),
                    primary_lock: key,
                    start_version,
                    lock_ttl: other,
                    for_update_ts: third,
                    wait_timeout: i64::MIN,
                    return_values: self.0.bool(),
                    min_commit_ts: self.number(),
                    check_existence: self.0.bool(),
                    lock_only_if_exists: self.0.bool(),
                    wake_up_mode: self.0.i32(-1..3),
                    ..PessimisticLockRequest::default()
                };
                storage.pessimistic_lock(&request).await;
            }
            18 => {
                storage.collect_garbage(other);
                storage.delete_range(&DeleteRangeRequest { start_key: key, end_key, ..Default::default() });
            }
            _ => {
                let request = TxnHeartBeatRequest {
                    primary_lock: key,
                    start_version,
                    advise_lock_ttl: other,
                    context,
                    ..Default::default()
                };
                storage.txn_heart_beat(&request);
                let request = RawScanRequest { start_key: end_key, limit, reverse, ..Default::default() };
                storage.raw_scan(&request, &region);
            }
        }
    }
}
