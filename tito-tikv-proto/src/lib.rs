//! The wire messages and services of [TiKV](https://tikv.org) and of its placement driver PD.
//!
//! A module for each package of the protocol, by the protocol's names. Of a message that is here all fields are here, and
//! all kinds of errors; of the services, the calls of transactions, of raw access and of a region's handling, and PD's
//! calls that clients make. There are stubs for both ends (`tikvpb::tikv_client`, `tikvpb::tikv_server`), over any
//! transport that is a service of HTTP requests.
//!
//! # Versions
//!
//! The numbers are those of 2026-08, as TiKV 9 has them. An older peer leaves fields out that it does not know, and skips
//! those that it is sent. A field that is newer than this crate is skipped when it is read, and so not there any more when
//! the message is written again: `prost`, by which messages are read and written, does not keep unknown fields. A value
//! of an enumeration that is not known stays as its number.
//!
//! # Names
//!
//! Rust's: `GCRequest` is `GcRequest`, `RawCASRequest` is `RawCasRequest`, and a field `type` is `r#type`.

#![allow(missing_docs, unreachable_pub, clippy::all)]

macro_rules! packages {
    ($($package:ident)*) => {$(
        pub mod $package {
            include!(concat!(env!("OUT_DIR"), "/", stringify!($package), ".rs"));
        }
    )*};
}

packages! {
    apipb coprocessor deadlock encryptionpb errorpb keyspacepb kvrpcpb metapb pdpb resource_manager tikvpb tracepb
}

/// gRPC's health checks, which TiKV answers.
pub mod health {
    tonic::include_proto!("grpc.health.v1");
}

/// The description of every message and service here, as an encoded `google.protobuf.FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
