//! The wire messages and services, generated from `proto/`.
pub mod errorpb {
    tonic::include_proto!("errorpb");
}
pub mod keyspacepb {
    tonic::include_proto!("keyspacepb");
}
pub mod kvrpcpb {
    tonic::include_proto!("kvrpcpb");
}
pub mod metapb {
    tonic::include_proto!("metapb");
}
pub mod pdpb {
    tonic::include_proto!("pdpb");
}
pub mod tikvpb {
    tonic::include_proto!("tikvpb");
}
