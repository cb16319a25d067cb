//! Random transactions of clients that may stop at any point, against a model: the committed values by timestamp.

use std::collections::BTreeMap;

use super::*;

const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// How to commit a transaction.
#[derive(Clone, Copy, PartialEq)]
enum Protocol {
    TwoPhase,
    Async,
    OnePhase,
}

struct Transaction {
    start: u64,
    protocol: Protocol,
    /// The first key is the primary.
    writes: Vec<(&'static str, String)>,
    /// The commit timestamp, if it is not requested from PD.
    calculated: u64,
}

struct World {
    storage: TestStorage,
    random: fastrand::Rng,
    clock: u64,
    committed: BTreeMap<&'static str, BTreeMap<u64, String>>,
    /// Reads that were served; their results must never change.
    served: Vec<(u64, &'static str, Option<String>)>,
    /// Start timestamps of transactions that have not been prewritten yet.
    started: Vec<u64>,
    prewritten: Vec<Transaction>,
}

impl World {
    fn now(&mut self) -> u64 {
        self.clock += 1 + self.random.u64(0..at(3));
        self.clock
    }

    fn model(&self, key: &str, version: u64) -> Option<String> {
        self.committed.get(key)?.range(..=version).next_back().map(|(_, value)| value.clone())
    }

    fn note_commit(&mut self, transaction: &Transaction, commit: u64) {
        for (key, value) in &transaction.writes {
            self.committed.entry(key).or_default().insert(commit, value.clone());
        }
    }

    /// Starts a transaction, and prewrites either it or one started before; some keys may remain unprewritten, as if
    /// the client stopped in between.
    fn begin(&mut self) {
        let start = self.now();
        self.started.push(start);
        if self.started.len() < 4 {
            return;
        }
        let start = self.started.swap_remove(self.random.usize(..4));
        let mut keys = KEYS;
        self.random.shuffle(&mut keys);
        let count = self.random.usize(1..4);
        let long = "x".repeat(if self.random.bool() { 300 } else { 0 });
        let writes: Vec<_> = keys[..count].iter().map(|key| (*key, format!("{start}{long}"))).collect();
        let protocol = [Protocol::TwoPhase, Protocol::Async, Protocol::OnePhase][self.random.usize(0..3)];
        let mutations: Vec<Mutation> = writes.iter().map(|(key, value)| put(key, value)).collect();
        let mut request = PrewriteRequest {
            min_commit_ts: start + 1,
            use_async_commit: protocol == Protocol::Async,
            try_one_pc: protocol == Protocol::OnePhase,
            secondaries: names(&keys[1..count]),
            ..prewrite_request(start, mutations)
        };
        let mut transaction = Transaction { start, protocol, writes, calculated: 0 };
        let stops = protocol != Protocol::OnePhase && self.random.u8(0..6) == 0;
        if stops {
            request.mutations.truncate(self.random.usize(..count));
        }
        let response = self.storage.prewrite(&request);
        if !response.errors.is_empty() {
            // Gives up, properly or not.
            if self.random.bool() {
                let keys: Vec<&str> = transaction.writes.iter().map(|(key, _)| *key).collect();
                self.storage.roll_back(&keys, start);
            }
            return;
        }
        transaction.calculated = response.min_commit_ts;
        if protocol == Protocol::OnePhase {
            self.note_commit(&transaction, response.one_pc_commit_ts);
        } else if !stops {
            if protocol == Protocol::Async {
                // It is committed from now on, whatever becomes of the client.
                self.note_commit(&transaction, transaction.calculated);
            }
            self.prewritten.push(transaction);
        }
    }

    /// Commits a transaction or part of it, or forgets it.
    fn finish(&mut self) {
        if self.prewritten.is_empty() {
            return;
        }
        let transaction = self.prewritten.swap_remove(self.random.usize(..self.prewritten.len()));
        if self.random.u8(0..4) == 0 {
            return;
        }
        let is_async = transaction.protocol == Protocol::Async;
        let commit = if is_async { transaction.calculated } else { self.now() };
        for (index, (key, _)) in transaction.writes.iter().enumerate() {
            if index > 0 && self.random.u8(0..4) == 0 {
                return;
            }
            match self.storage.try_commit(&[key], transaction.start, commit) {
                None if index == 0 && !is_async => self.note_commit(&transaction, commit),
                None => {}
                // Somebody found it expired and rolled it back, or pushed it.
                Some(error) => {
                    assert!(!is_async, "a transaction with async commit is lost: {error:?}");
                    assert!(index == 0 && (!error.retryable.is_empty() || error.commit_ts_expired.is_some()));
                    return;
                }
            }
        }
    }

    /// Reads a key at a timestamp, resolving locks in its way or giving up.
    fn read(&mut self) {
        let now = self.now();
        let version = now - self.random.u64(0..at(30)).min(now);
        let key = KEYS[self.random.usize(..KEYS.len())];
        for _ in 0..3 {
            match self.storage.try_read(key, version) {
                Ok(value) => {
                    let value = value.map(|value| String::from_utf8(value).unwrap());
                    assert_eq!(value, self.model(key, version), "{key} at {version}");
                    self.served.push((version, key, value));
                    return;
                }
                Err(error) => self.heal(&error.locked.unwrap(), version),
            }
        }
    }

    /// Does what a client that meets a lock does: asks the primary and makes the lock follow.
    fn heal(&mut self, lock: &LockInfo, caller_start_ts: u64) {
        let request = CheckTxnStatusRequest {
            primary_key: lock.primary_lock.clone(),
            lock_ts: lock.lock_version,
            caller_start_ts,
            current_ts: self.clock,
            rollback_if_not_exist: true,
            ..CheckTxnStatusRequest::default()
        };
        let status = self.storage.status(request.clone());
        let expired = (lock.lock_version >> 18) + lock.lock_ttl < self.clock >> 18;
        let commit_version = match status.lock_info {
            None => status.commit_version,
            Some(_) if !expired => return,
            Some(primary) if primary.use_async_commit => {
                let keys = primary.secondaries.clone();
                let check = CheckSecondaryLocksRequest { keys, start_version: lock.lock_version, ..Default::default() };
                let answer = self.storage.check_secondary_locks(&check);
                if answer.commit_ts != 0 {
                    answer.commit_ts
                } else if answer.locks.len() == primary.secondaries.len() {
                    answer.locks.iter().map(|lock| lock.min_commit_ts).fold(primary.min_commit_ts, u64::max)
                } else {
                    0
                }
            }
            Some(_) => return,
        };
        let keys = if self.random.bool() { vec![lock.key.clone()] } else { Vec::new() };
        let start_version = lock.lock_version;
        let request = ResolveLockRequest { start_version, commit_version, keys, ..ResolveLockRequest::default() };
        assert_eq!(self.storage.resolve_lock(&request, &everything()).error, None);
    }

    /// No served read may change.
    fn check_served(&self) {
        for (version, key, value) in &self.served {
            match self.storage.try_read(key, *version) {
                Ok(now) => assert_eq!(&now.map(|now| String::from_utf8(now).unwrap()), value, "{key} at {version}"),
                Err(error) => panic!("{key} at {version} was read and is locked now: {error:?}"),
            }
        }
    }

    /// Once all clients are gone and all locks have expired, nothing stays locked.
    fn check_healed(&mut self) {
        self.clock += at(1000);
        for lock in self.storage.locks() {
            let version = self.clock;
            self.heal(&lock, version);
        }
        // If an async commit's primary was met first, its secondaries remain for the next round.
        for lock in self.storage.locks() {
            let version = self.clock;
            self.heal(&lock, version);
        }
        assert_eq!(self.storage.locks(), []);
        for key in KEYS {
            assert_eq!(self.storage.read(key, self.clock), self.model(key, self.clock), "{key}");
        }
    }
}

#[test]
fn snapshots_never_change_and_everything_heals_whenever_clients_stop() {
    for seed in 0..60 {
        println!("seed {seed}");
        let mut world = World {
            storage: TestStorage::default(),
            random: fastrand::Rng::with_seed(seed),
            clock: at(1000),
            committed: BTreeMap::new(),
            served: Vec::new(),
            started: Vec::new(),
            prewritten: Vec::new(),
        };
        for _ in 0..400 {
            match world.random.u8(0..10) {
                0..=3 => world.begin(),
                4..=6 => world.finish(),
                _ => world.read(),
            }
        }
        world.check_served();
        world.check_healed();
        world.check_served();
        assert!(world.committed.values().map(BTreeMap::len).sum::<usize>() > 20, "too little happened");

        // Garbage collection changes no read at or after its safe point, and leaves at most one version per key.
        let mut versions: Vec<u64> = world.served.iter().map(|(version, ..)| *version).collect();
        versions.sort_unstable();
        let safe_point = versions[versions.len() / 2];
        world.storage.collect_garbage(safe_point);
        world.served.retain(|(version, ..)| *version >= safe_point);
        world.check_served();
        world.storage.collect_garbage(world.clock);
        world.check_healed();
        assert!(world.storage.sizes().writes <= KEYS.len());
    }
}
