//! Compiles the wire messages, which are the project's own, without a system `protoc`.
use std::path::PathBuf;

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = ["proto/pdpb.proto", "proto/keyspacepb.proto", "proto/tikvpb.proto", "proto/health.proto"];
    let descriptors = protox::compile(files, ["proto"])?;
    let directory = std::env::var_os("OUT_DIR").ok_or("cargo gives no OUT_DIR to the build script")?;
    std::fs::write(PathBuf::from(directory).join("descriptors.bin"), descriptors.encode_to_vec())?;
    // The transport is the user's: the stubs run over anything that is a service of HTTP requests.
    tonic_prost_build::configure().build_transport(false).compile_fds(descriptors)?;
    Ok(())
}
