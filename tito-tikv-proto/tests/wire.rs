//! What the messages look like on the wire.
#![allow(clippy::unwrap_used, missing_docs)]

use prost::{Message, Name};
use prost_reflect::DescriptorPool;
use tito_tikv_proto::kvrpcpb::{GetRequest, IsolationLevel, KeyError, LockInfo, PrewriteRequest, TxnLockNotFound};
use tito_tikv_proto::tikvpb::batch_commands_request;
use tito_tikv_proto::{FILE_DESCRIPTOR_SET, errorpb};

#[test]
fn messages_have_their_numbers_on_the_wire() {
    // Tag 1 is field 0 * 8 + type: 0x0a is field 1 with bytes, 0x10 field 2 as a number.
    let lock = LockInfo { primary_lock: b"p".to_vec(), lock_version: 5, use_async_commit: true, ..LockInfo::default() };
    assert_eq!(lock.encode_to_vec(), [0x0a, 1, b'p', 0x10, 5, 0x40, 1]);
    let not_found = TxnLockNotFound { key: b"k".to_vec(), ..TxnLockNotFound::default() };
    let error = KeyError { txn_lock_not_found: Some(not_found), ..KeyError::default() };
    assert_eq!(error.encode_to_vec(), [0x62, 3, 0x0a, 1, b'k']);
    let undetermined = Some(errorpb::UndeterminedResult::default());
    let error = errorpb::Error { undetermined_result: undetermined, ..errorpb::Error::default() };
    assert_eq!(error.encode_to_vec(), [0xb2, 1, 0]);
}

#[test]
fn a_value_of_an_enumeration_that_is_not_known_stays_as_its_number() {
    let request = PrewriteRequest { pessimistic_actions: vec![77], ..PrewriteRequest::default() };
    let read = PrewriteRequest::decode(request.encode_to_vec().as_slice()).unwrap();
    assert_eq!(read.pessimistic_actions, [77]);
    assert!(IsolationLevel::try_from(77).is_err());
}

#[test]
fn every_message_is_described() {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
    assert!(pool.all_messages().count() > 250);
    for name in ["kvrpcpb.KeyError", "errorpb.Error", "tikvpb.BatchCommandsRequest.Request", "pdpb.GCState"] {
        assert!(pool.get_message_by_name(name).is_some(), "{name}");
    }
    for service in ["tikvpb.Tikv", "pdpb.PD", "keyspacepb.Keyspace", "grpc.health.v1.Health"] {
        assert!(pool.get_service_by_name(service).is_some(), "{service}");
    }
}

#[test]
fn messages_know_their_names() {
    assert_eq!(GetRequest::full_name(), "kvrpcpb.GetRequest");
    assert_eq!(batch_commands_request::Request::full_name(), "tikvpb.BatchCommandsRequest.Request");
}

#[test]
fn bytes_that_are_no_message_are_an_error() {
    for bytes in [&[0x0a][..], &[0x0a, 0xff], &[0xff; 20]] {
        assert!(GetRequest::decode(bytes).is_err(), "{bytes:?}");
    }
}
