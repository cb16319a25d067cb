//! The wire messages and services of [TiKV](https://tikv.org) and its placement driver PD.
//!
//! Each package of the protocol is a module, with the protocol's names. Each message has all its fields and all kinds
//! of errors. The services have the calls for transactions, raw access and managing regions, and PD's client calls.
//! There are stubs for both ends (`tikvpb::tikv_client`, `tikvpb::tikv_server`), over any transport that is a service
//! of HTTP requests.
//!
//! # Versions
//!
//! The numbers are those of TiKV 9 as of August 2026. Anything newer than TiKV 5.0 says which version introduced it; an
//! older peer leaves it out, and skips it when it is sent.
//!
//! # Newer peers
//!
//! A field newer than this crate is kept at every depth, in the message's `unknown_fields`, and written again with the
//! message. An unknown value of an enumeration stays as its number. Only an unknown field of a map entry is lost (of
//! its key and value, not of a message that is its value), since protobuf has no place for it.
//!
//! Construct messages with `..Default::default()` for the other fields, so that a new one breaks nothing.
//!
//! # Names
//!
//! They follow Rust: `GCRequest` is `GcRequest`, `RawCASRequest` is `RawCasRequest`, and a field `type` is `r#type`.

mod known;
mod unknown;

pub use unknown::UnknownFields;

macro_rules! packages {
    ($($package:ident)*) => {$(
        #[allow(missing_docs, unreachable_pub, clippy::all)]
        pub mod $package {
            include!(concat!(env!("OUT_DIR"), "/", stringify!($package), ".rs"));
        }
    )*};
}

packages! {
    apipb coprocessor deadlock encryptionpb errorpb keyspacepb kvrpcpb metapb pdpb resource_manager tikvpb tracepb
}

/// gRPC's health checks, which TiKV answers.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod health {
    tonic::include_proto!("grpc.health.v1");
}

/// The description of every message and service here, as an encoded `google.protobuf.FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
