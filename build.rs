//! Compiles the protos without protoc, and keeps the descriptor set for server reflection.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

/// Messages that carry a secret: their `Debug` is written by hand in `src/proto.rs`.
const SECRET_BEARING: [&str; 3] = [
    "tokenkeep.v1.CreateTokenResponse",
    "tokenkeep.v1.RegenerateTokenResponse",
    "tokenkeep.v1.IntrospectTokenRequest",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rustc-env=BUILD_TARGET={}", env::var("TARGET")?);
    let out_directory = PathBuf::from(env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files([
        "tokenkeep/v1/token_service.proto",
        "tokenkeep/v1/workspace_service.proto",
        "tokenkeep/v1/error_reason.proto",
    ])?;
    fs::write(out_directory.join("tokenkeep.binpb"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .btree_map(".tokenkeep.v1")
        .skip_debug(SECRET_BEARING)
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
