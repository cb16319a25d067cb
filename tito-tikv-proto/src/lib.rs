//! The wire messages and services of [TiKV](https://tikv.org) and of its placement driver PD.
//!
//! A module for each package of the protocol, by the protocol's names. Of a message that is here all fields are here, and
//! all kinds of errors; of the services, the calls of transactions, of raw access and of a region's handling, and PD's
//! calls that clients make. There are stubs for both ends (`tikvpb::tikv_client`, `tikvpb::tikv_server`), over any
//! transport that is a service of HTTP requests.
//!
//! # Versions
//!
//! The numbers are those of 2026-08, as TiKV 9 has them. What came later than TiKV 5.0 says since when it is there; an
//! older peer leaves it out, and skips it when it is sent.
//!
//! # What a newer peer knows
//!
//! A field that is newer than this crate is kept, at every depth, and written again with the message: it is in the message's
//! `unknown_fields`. A value of an enumeration that is not known stays as its number. What is lost is an unknown field of
//! an entry of a map (of its key and value, not of the message that is its value), for which protobuf has no place.
//!
//! A message is made with `..Default::default()` for the fields that are not named, so that a new one breaks nothing.
//!
//! # Names
//!
//! Rust's: `GCRequest` is `GcRequest`, `RawCASRequest` is `RawCasRequest`, and a field `type` is `r#type`.

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
