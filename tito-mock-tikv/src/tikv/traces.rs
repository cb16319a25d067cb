//! Traces of a real server, replayed here: the answers must match, and so must the records after each step.
//!
//! `tests/traces` has some, recorded from TiKV 9 with random sequences of raw requests; more are looked for in
//! `../shared/traces` next to the project, or where `TITO_TRACES` says. A file has one JSON object per line: `trace`
//! begins a sequence, the others are its steps. Bytes are in hex, enumerations go by name, and unset fields are left
//! out.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::GzDecoder;
use prost::Message;
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};
use serde_json::{Map, Value as Json};
use tito_tikv_proto::kvrpcpb::*;
use tito_tikv_proto::tikvpb::tikv_server::Tikv;
use tonic::Request;

use super::StoreService;
use super::tests::{context, service_with};
use crate::TikvVersion;
use crate::shared::{Settings, Shared};

/// Excluded from the comparison: what only reports durations, and what is not kept here.
const NOT_COMPARED: [&str; 5] =
    ["exec_details_v2", "debug_info", "duration_to_last_update_ms", "last_change_ts", "versions_to_last_change"];

/// Lists without an order.
const UNORDERED: [&str; 3] = ["locks", "errors", "secondaries"];

#[tokio::test]
async fn the_traces_in_the_repository_are_answered_as_by_the_server() {
    let files = files_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces"));
    assert!(!files.is_empty());
    play(&files).await;
}

#[tokio::test]
async fn the_traces_beside_the_project_are_answered_as_by_the_server() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces");
    let directory = std::env::var_os("TITO_TRACES").map_or(beside, PathBuf::from);
    let files = files_in(&directory);
    if files.is_empty() {
        println!("skipped: no traces in {}", directory.display());
        return;
    }
    play(&files).await;
}

/// The comparison notices the differences between versions.
#[tokio::test]
async fn an_older_version_answers_some_of_the_traces_otherwise() {
    let files = files_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces"));
    let player = played(&files[0], TikvVersion::V7_5).await;
    assert!(player.same < player.traces && player.same > player.traces / 2, "{} the same", player.same);
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(".jsonl.gz"));
    files.sort();
    files
}

async fn play(files: &[PathBuf]) {
    for file in files {
        let player = played(file, TikvVersion::V9_0).await;
        println!("{}: {} of {} traces, {} steps", file.display(), player.same, player.traces, player.steps);
        for difference in player.differences.iter().take(20) {
            println!("{difference}\n");
        }
        assert_eq!(player.same, player.traces, "{}", file.display());
        assert!(player.traces > 0);
    }
}

async fn played(file: &Path, version: TikvVersion) -> Player {
    let mut player = Player::new(version);
    for line in BufReader::new(GzDecoder::new(File::open(file).unwrap())).lines() {
        player.line(serde_json::from_str(&line.unwrap()).unwrap()).await;
    }
    player.end_trace();
    player
}

struct Player {
    shared: Arc<Shared>,
    service: StoreService,
    pool: DescriptorPool,
    traces: usize,
    same: usize,
    steps: usize,
    differences: Vec<String>,
    trace: Option<Trace>,
}

/// The sequence being replayed, and what the server had after the last step.
struct Trace {
    seed: Json,
    step: usize,
    keys: Vec<Vec<u8>>,
    infos: BTreeMap<Vec<u8>, MvccInfo>,
    locks: Vec<LockInfo>,
    failed: bool,
}

impl Player {
    fn new(version: TikvVersion) -> Self {
        let (shared, service) = service_with(Settings { version, in_memory_locks: false });
        let pool = DescriptorPool::decode(tito_tikv_proto::FILE_DESCRIPTOR_SET).unwrap();
        Player { shared, service, pool, traces: 0, same: 0, steps: 0, differences: Vec::new(), trace: None }
    }

    async fn line(&mut self, mut line: Json) {
        if let Some(head) = line.get("trace") {
            self.end_trace();
            let keys: Vec<Vec<u8>> = head["keys"].as_array().unwrap().iter().map(bytes).collect();
            let infos = keys.iter().map(|key| (key.clone(), MvccInfo::default())).collect();
            self.trace =
                Some(Trace { seed: head["seed"].clone(), step: 0, keys, infos, locks: Vec::new(), failed: false });
            return;
        }
        self.steps += 1;
        let mut trace = self.trace.take().unwrap();
        // A step after the first difference would only show its consequences.
        if !trace.failed {
            let difference = self.step(&mut trace, &mut line).await;
            if let Some(difference) = difference {
                trace.failed = true;
                self.differences.push(format!(
                    "seed {} step {}: {difference}\n  {} {}",
                    trace.seed, trace.step, line["rpc"], line["request"]
                ));
            }
        }
        trace.step += 1;
        self.trace = Some(trace);
    }

    fn end_trace(&mut self) {
        if let Some(trace) = self.trace.take() {
            self.traces += 1;
            self.same += usize::from(!trace.failed);
        }
    }

    async fn step(&self, trace: &mut Trace, line: &mut Json) -> Option<String> {
        let rpc = line["rpc"].as_str().unwrap().to_owned();
        let expected = line["response"].take();
        let found = self.call(&rpc, &line["request"]).await;
        if !same(&expected, &found) {
            return Some(format!("expected {expected}\n  found    {found}"));
        }
        let info = self.pool.get_message_by_name("kvrpcpb.MvccInfo").unwrap();
        let lock = self.pool.get_message_by_name("kvrpcpb.LockInfo").unwrap();
        for (name, changed) in line["after"].as_object().unwrap() {
            if name == "locks" {
                trace.locks = changed.as_array().unwrap().iter().map(|json| typed(&lock, json)).collect();
                trace.locks.iter_mut().for_each(in_order);
                trace.locks.sort_by(|left, right| left.key.cmp(&right.key));
            } else {
                let mut expected: MvccInfo = typed(&info, changed);
                forget_last_change(&mut expected);
                trace.infos.insert(unhex(name), expected);
            }
        }
        self.records(trace).await
    }

    /// Compares the records with the server's.
    async fn records(&self, trace: &Trace) -> Option<String> {
        for (key, expected) in &trace.infos {
            let request =
                MvccGetByKeyRequest { context: self.context(), key: key.clone(), ..MvccGetByKeyRequest::default() };
            let found = self.service.mvcc_get_by_key(Request::new(request)).await.unwrap().into_inner().info.unwrap();
            if found != *expected {
                return Some(format!("key {}: expected {expected:?}\n  found    {found:?}", key.escape_ascii()));
            }
        }
        let prefix = &trace.keys[0][..trace.keys[0].iter().rposition(|byte| *byte == b'/').unwrap() + 1];
        let mut end_key = prefix.to_vec();
        *end_key.last_mut().unwrap() += 1;
        let (start_key, max_version) = (prefix.to_vec(), u64::MAX);
        let request = ScanLockRequest {
            context: self.context(),
            max_version,
            start_key,
            end_key,
            limit: 0,
            ..ScanLockRequest::default()
        };
        let mut found = self.service.kv_scan_lock(Request::new(request)).await.unwrap().into_inner().locks;
        found.iter_mut().for_each(in_order);
        (found != trace.locks).then(|| format!("locks: expected {:?}\n  found    {found:?}", trace.locks))
    }

    fn context(&self) -> Option<Context> {
        context(&self.shared, b"")
    }

    /// The answer to a request, in the form that traces use.
    async fn call(&self, rpc: &str, request: &Json) -> Json {
        macro_rules! calls {
            ($($name:literal $method:ident $request:ident $response:literal)*) => {
                match rpc {
                    $($name => {
                        let kind = self.pool.get_message_by_name(concat!("kvrpcpb.", stringify!($request))).unwrap();
                        let mut request: $request = typed(&kind, request);
                        let given = request.context.take().unwrap_or_default();
                        request.context = Some(Context {
                            isolation_level: given.isolation_level,
                            resolved_locks: given.resolved_locks,
                            committed_locks: given.committed_locks,
                            is_retry_request: given.is_retry_request,
                            request_origin: RequestOrigin::TiDb.into(),
                            ..self.context().unwrap()
                        });
                        match self.service.$method(Request::new(request)).await {
                            Ok(response) => {
                                let kind = self.pool.get_message_by_name(concat!("kvrpcpb.", $response)).unwrap();
                                let encoded = response.into_inner().encode_to_vec();
                                json(&DynamicMessage::decode(kind, encoded.as_slice()).unwrap())
                            }
                            Err(status) => serde_json::json!({ "grpc": format!("{:?}", status.code()) }),
                        }
                    })*
                    _ => panic!("no call {rpc}"),
                }
            };
        }
        calls! {
            "KvGet" kv_get GetRequest "GetResponse"
            "KvBatchGet" kv_batch_get BatchGetRequest "BatchGetResponse"
            "KvScan" kv_scan ScanRequest "ScanResponse"
            "KvPrewrite" kv_prewrite PrewriteRequest "PrewriteResponse"
            "KvPessimisticLock" kv_pessimistic_lock PessimisticLockRequest "PessimisticLockResponse"
            "KVPessimisticRollback" kv_pessimistic_rollback PessimisticRollbackRequest "PessimisticRollbackResponse"
            "KvTxnHeartBeat" kv_txn_heart_beat TxnHeartBeatRequest "TxnHeartBeatResponse"
            "KvCheckTxnStatus" kv_check_txn_status CheckTxnStatusRequest "CheckTxnStatusResponse"
            "KvCheckSecondaryLocks" kv_check_secondary_locks CheckSecondaryLocksRequest "CheckSecondaryLocksResponse"
            "KvCommit" kv_commit CommitRequest "CommitResponse"
            "KvCleanup" kv_cleanup CleanupRequest "CleanupResponse"
            "KvBatchRollback" kv_batch_rollback BatchRollbackRequest "BatchRollbackResponse"
            "KvScanLock" kv_scan_lock ScanLockRequest "ScanLockResponse"
            "KvResolveLock" kv_resolve_lock ResolveLockRequest "ResolveLockResponse"
        }
    }
}

fn forget_last_change(info: &mut MvccInfo) {
    if let Some(lock) = &mut info.lock {
        lock.last_change_ts = 0;
        lock.versions_to_last_change = 0;
    }
    for write in &mut info.writes {
        write.last_change_ts = 0;
        write.versions_to_last_change = 0;
    }
}

fn in_order(lock: &mut LockInfo) {
    lock.secondaries.sort();
}

/// Whether an answer matches the server's.
fn same(expected: &Json, found: &Json) -> bool {
    match (expected, found) {
        (Json::Object(expected), Json::Object(found)) => {
            let names = expected.keys().chain(found.keys());
            let mut names = names.filter(|name| !NOT_COMPARED.contains(&name.as_str()));
            names.all(|name| match (expected.get(name), found.get(name)) {
                (Some(expected), Some(found)) if name == "abort" || name == "retryable" => same_error(expected, found),
                (Some(expected), Some(found)) if UNORDERED.contains(&name.as_str()) => {
                    same(&ordered(expected), &ordered(found))
                }
                (Some(expected), Some(found)) => same(expected, found),
                // An empty list counts as none.
                (Some(only), None) | (None, Some(only)) => only.as_array().is_some_and(Vec::is_empty),
                (None, None) => true,
            })
        }
        (Json::Array(expected), Json::Array(found)) => {
            expected.len() == found.len() && expected.iter().zip(found).all(|(expected, found)| same(expected, found))
        }
        (expected, found) => expected == found,
    }
}

/// Whether a text names the same error as the server's.
fn same_error(expected: &Json, found: &Json) -> bool {
    let text = found.as_str().unwrap_or_default();
    ["kind", "reason"].iter().filter_map(|name| expected.get(name)?.as_str()).all(|name| text.contains(name))
}

fn ordered(list: &Json) -> Json {
    let mut list = list.as_array().cloned().unwrap_or_default();
    list.sort_by_cached_key(|item| {
        let mut item = item.clone();
        if let Some(error) = item.as_object_mut() {
            error.remove("abort");
            error.remove("retryable");
        }
        item.to_string()
    });
    Json::Array(list)
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn bytes(json: &Json) -> Vec<u8> {
    unhex(json.as_str().unwrap())
}

fn typed<T: Message + Default>(kind: &MessageDescriptor, json: &Json) -> T {
    T::decode(message(kind, json).encode_to_vec().as_slice()).unwrap()
}

fn message(kind: &MessageDescriptor, json: &Json) -> DynamicMessage {
    let mut message = DynamicMessage::new(kind.clone());
    for (name, value) in json.as_object().unwrap() {
        let field = kind.get_field_by_name(name).unwrap_or_else(|| panic!("{} has no {name}", kind.name()));
        let value = match field.cardinality() {
            Cardinality::Repeated => {
                Value::List(value.as_array().unwrap().iter().map(|item| scalar(&field, item)).collect())
            }
            _ => scalar(&field, value),
        };
        message.set_field(&field, value);
    }
    message
}

fn scalar(field: &FieldDescriptor, json: &Json) -> Value {
    match field.kind() {
        Kind::Bool => Value::Bool(json.as_bool().unwrap()),
        Kind::Uint64 => Value::U64(json.as_u64().unwrap()),
        Kind::Uint32 => Value::U32(json.as_u64().unwrap() as u32),
        Kind::Int64 => Value::I64(json.as_i64().unwrap()),
        Kind::Int32 => Value::I32(json.as_i64().unwrap() as i32),
        Kind::String => Value::String(json.as_str().unwrap().to_owned()),
        Kind::Bytes => Value::Bytes(bytes(json).into()),
        Kind::Enum(kind) => Value::EnumNumber(kind.get_value_by_name(json.as_str().unwrap()).unwrap().number()),
        Kind::Message(kind) => Value::Message(message(&kind, json)),
        kind => panic!("{kind:?} of {}", field.full_name()),
    }
}

fn json(message: &DynamicMessage) -> Json {
    let fields = message.fields().map(|(field, value)| (field.name().to_owned(), json_value(&field, value)));
    Json::Object(fields.collect::<Map<String, Json>>())
}

fn json_value(field: &FieldDescriptor, value: &Value) -> Json {
    match value {
        Value::Bool(value) => Json::from(*value),
        Value::U64(value) => Json::from(*value),
        Value::U32(value) => Json::from(*value),
        Value::I64(value) => Json::from(*value),
        Value::I32(value) => Json::from(*value),
        Value::F64(value) => Json::from(*value),
        Value::F32(value) => Json::from(*value),
        Value::String(value) => Json::from(value.as_str()),
        Value::Bytes(value) => Json::from(value.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        Value::EnumNumber(number) => match field.kind() {
            Kind::Enum(kind) => kind.get_value(*number).map_or(Json::from(*number), |value| Json::from(value.name())),
            _ => Json::from(*number),
        },
        Value::Message(message) => json(message),
        Value::List(items) => Json::Array(items.iter().map(|item| json_value(field, item)).collect()),
        Value::Map(entries) => {
            let name = |key: &MapKey| format!("{key:?}");
            Json::Object(entries.iter().map(|(key, value)| (name(key), json_value(field, value))).collect())
        }
    }
}
