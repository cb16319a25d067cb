//! Compiles the wire messages, which are the project's own, without a system `protoc`.
#![allow(clippy::print_stdout)]
use std::error::Error;
use std::path::{Path, PathBuf};

use prost::Message;

mod unknown;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build");
    let descriptors = protox::compile(files_below(Path::new("proto"))?, ["proto"])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo gives no OUT_DIR to the build script")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;

    let mut config = prost_build::Config::new();
    // The transport is up to the user: the stubs work over any service of HTTP requests.
    config.service_generator(tonic_prost_build::configure().build_transport(false).service_generator());
    config.enable_type_names();
    let files = descriptors.file.into_iter().map(|file| (module_of(file.package()), file)).collect();
    let mut messages = Vec::new();
    for (module, code) in config.generate(files)? {
        let package = module.to_file_name_or("");
        let package = package.trim_end_matches(".rs");
        let code = unknown::keep_unknown_fields(&code, package, &mut messages)?;
        std::fs::write(out.join(format!("{package}.rs")), code)?;
    }
    // Tests use this list to go over every message.
    messages.sort();
    std::fs::write(out.join("every_message.rs"), format!("every_message!({})", messages.join(", ")))?;
    Ok(())
}

fn module_of(package: &str) -> prost_build::Module {
    prost_build::Module::from_protobuf_package_name(package)
}

/// All message files; how messages are divided between files only matters to readers.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
