//! Fields that this crate does not know are kept.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod random;

use std::collections::BTreeMap;

use prost::{DecodeError, Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use random::Writer;
use tito_tikv_proto::FILE_DESCRIPTOR_SET;
use tito_tikv_proto::kvrpcpb::{GetRequest, Mutation, PrewriteRequest};
use tito_tikv_proto::tikvpb::{BatchCommandsRequest, batch_commands_request::request::Cmd};

/// A field of the number 1000 with two bytes: its tag is 1000 * 8 + 2.
const UNKNOWN: [u8; 5] = [0xc2, 0x3e, 2, 7, 7];
const START_GROUP: [u8; 2] = [0xc3, 0x3e];
const END_GROUP: [u8; 2] = [0xc4, 0x3e];

type RoundTrip = fn(&[u8]) -> Result<Vec<u8>, DecodeError>;

fn round_trip<M: Message + Default + Clone + PartialEq + std::fmt::Debug>(
    bytes: &[u8],
) -> Result<Vec<u8>, DecodeError> {
    let mut read = M::decode(bytes)?;
    let written = read.encode_to_vec();
    assert_eq!(written.len(), read.encoded_len());
    assert_eq!(read.clone(), read);
    assert!(!format!("{read:?}").is_empty());
    read.clear();
    assert_eq!(read, M::default());
    Ok(written)
}

/// Every message by its name.
fn every_message() -> BTreeMap<String, RoundTrip> {
    macro_rules! every_message {
        ($($message:path),*) => {
            BTreeMap::from([$((<$message>::full_name(), round_trip::<$message> as RoundTrip)),*])
        };
    }
    include!(concat!(env!("OUT_DIR"), "/every_message.rs"))
}

fn descriptors() -> Vec<MessageDescriptor> {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
    pool.all_messages().filter(|message| !message.is_map_entry()).collect()
}

fn random() -> fastrand::Rng {
    let seed = std::env::var("TITO_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("TITO_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

#[test]
fn every_message_keeps_what_it_does_not_know() {
    let round_trips = every_message();
    let descriptors = descriptors();
    assert_eq!(round_trips.len(), descriptors.len());
    for message in descriptors {
        let round_trip = round_trips[message.full_name()];
        assert_eq!(round_trip(&UNKNOWN).unwrap(), UNKNOWN, "{}", message.full_name());
    }
}

/// Random messages of every type with random unknown fields at random places, at every depth: read as `prost-reflect`
/// does, which keeps all fields, what is written again is what was read.
#[test]
fn random_unknown_fields_come_back_from_every_depth_of_every_message() {
    let mut random = random();
    let (round_trips, rounds) = (every_message(), 40);
    let mut unknown = 0;
    for message in descriptors() {
        let read = |bytes: &[u8]| DynamicMessage::decode(message.clone(), bytes).unwrap();
        assert_ne!(read(&UNKNOWN), read(&[]));
        for _ in 0..rounds {
            let mut writer = Writer::new(&mut random);
            let bytes = writer.message(&message, 5);
            unknown += writer.unknown_fields;
            let written = round_trips[message.full_name()](&bytes).unwrap();
            assert_eq!(read(&written), read(&bytes), "{} of {bytes:02x?}", message.full_name());
        }
    }
    assert!(unknown > 50_000, "{unknown}");
}

#[test]
fn random_bytes_and_cut_messages_are_an_error_or_read_and_never_a_panic() {
    let mut random = random();
    let round_trips = every_message();
    let (mut failed, mut read) = (0, 0);
    for message in descriptors() {
        for _ in 0..50 {
            let mut bytes = Writer::new(&mut random).message(&message, 4);
            match random.u8(..3) {
                0 => bytes.truncate(random.usize(..=bytes.len())),
                1 => bytes = (0..random.usize(..40)).map(|_| random.u8(..)).collect(),
                _ => {
                    for byte in &mut bytes {
                        *byte = if random.u8(..20) == 0 { random.u8(..) } else { *byte };
                    }
                }
            }
            match round_trips[message.full_name()](&bytes) {
                // Defaults and longer forms of numbers are not written again, so it is another message's bytes.
                Ok(written) => {
                    assert_eq!(round_trips[message.full_name()](&written).unwrap(), written);
                    read += 1;
                }
                Err(_) => failed += 1,
            }
        }
    }
    assert!(failed > 1_000 && read > 1_000, "{failed} {read}");
}

#[test]
fn the_unknown_field_of_a_message_in_a_message_stays_in_that() {
    let known = Mutation { key: b"k".to_vec(), ..Mutation::default() };
    let mut mutation = known.encode_to_vec();
    mutation.extend(UNKNOWN);
    let mut prewrite = vec![0x12, mutation.len() as u8];
    prewrite.extend(mutation);
    let read = PrewriteRequest::decode(prewrite.as_slice()).unwrap();
    assert!(read.unknown_fields.is_none());
    assert_eq!(read.mutations[0].unknown_fields.as_ref().unwrap().as_bytes(), UNKNOWN);
    assert_eq!(read.encode_to_vec(), prewrite);
    // In a command of a batch, which is one of several.
    let mut command = vec![0x1a, prewrite.len() as u8];
    command.extend(prewrite);
    let mut batch = vec![0x0a, command.len() as u8];
    batch.extend(command);
    let read = BatchCommandsRequest::decode(batch.as_slice()).unwrap();
    assert!(matches!(&read.requests[0].cmd, Some(Cmd::Prewrite(prewrite)) if prewrite.mutations[0].key == b"k"));
    assert_eq!(read.encode_to_vec(), batch);
}

#[test]
fn the_bytes_of_unknown_fields_are_not_changed() {
    // A number in a longer form than needed, a field twice, and a group with a group in it.
    let fields: Vec<u8> = [
        &[0xc0, 0x3e, 0x81, 0x80, 0x00][..],
        &UNKNOWN,
        &UNKNOWN,
        &START_GROUP,
        &[0xcb, 0x3e, 0x08, 0x05, 0xcc, 0x3e],
        &END_GROUP,
        &[0xc5, 0x3e, 1, 2, 3, 4],
        &[0xc1, 0x3e, 1, 2, 3, 4, 5, 6, 7, 8],
    ]
    .concat();
    let read = GetRequest::decode(fields.as_slice()).unwrap();
    assert_eq!(read.unknown_fields.as_ref().unwrap().as_bytes(), fields);
    assert_eq!(read.encode_to_vec(), fields);
    assert_ne!(read, GetRequest::default());
    // They can be dropped.
    assert_eq!(GetRequest { unknown_fields: None, ..read }, GetRequest::default());
}

#[test]
fn a_message_that_is_read_over_another_adds_its_unknown_fields() {
    let mut read = GetRequest::decode(UNKNOWN.as_slice()).unwrap();
    read.merge(&[0xc0, 0x3e, 9][..]).unwrap();
    assert_eq!(read.encode_to_vec(), [&UNKNOWN[..], &[0xc0, 0x3e, 9]].concat());
}

#[test]
fn groups_without_an_end_with_a_wrong_one_or_too_deep_are_an_error() {
    for end in [&[][..], &[0xcc, 0x3e], &[0xc4]] {
        let group = [&START_GROUP[..], end].concat();
        assert!(GetRequest::decode(group.as_slice()).is_err(), "{end:02x?}");
    }
    assert!(GetRequest::decode(END_GROUP.as_slice()).is_err());
    let nested = |depth| [START_GROUP.repeat(depth), END_GROUP.repeat(depth)].concat();
    assert!(GetRequest::decode(nested(100).as_slice()).is_ok());
    assert!(GetRequest::decode(nested(102).as_slice()).is_err());
    assert!(GetRequest::decode(nested(1_000_000).as_slice()).is_err());
}

#[test]
fn a_length_beyond_the_message_is_an_error_and_nothing_is_allocated_for_it() {
    // Of a field of bytes, 2^62 of them.
    let mut bytes = vec![0xc2, 0x3e];
    prost::encoding::encode_varint(1 << 62, &mut bytes);
    assert!(GetRequest::decode(bytes.as_slice()).is_err());
}

#[test]
fn a_message_grows_by_a_pointer_and_is_printed_as_ever() {
    assert_eq!(size_of::<Option<tito_tikv_proto::UnknownFields>>(), size_of::<usize>());
    let mutation = Mutation { op: 1, key: vec![1], ..Mutation::default() };
    assert_eq!(format!("{mutation:?}"), "Mutation { op: Del, key: [1], value: [], assertion: None }");
    let read = GetRequest::decode(UNKNOWN.as_slice()).unwrap();
    let shown = format!("{read:?}");
    assert!(shown.ends_with("need_commit_ts: false, unknown_fields: [c2, 3e, 02, 07, 07] }"), "{shown}");
    let actions = PrewriteRequest { pessimistic_actions: vec![1, 77], ..PrewriteRequest::default() };
    assert!(format!("{actions:?}").contains("pessimistic_actions: [DoPessimisticCheck, 77]"));
}
