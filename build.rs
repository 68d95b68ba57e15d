//! Compiles the protos without protoc, and keeps the descriptor set for server reflection.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

/// Messages that carry a secret: their `Debug` is written by hand in `src/proto.rs`.
const SECRET_BEARING: [&str; 6] = [
    "tokenkeep.v1.CreateTokenResponse",
    "tokenkeep.v1.CreatePrincipalResponse",
    "tokenkeep.v1.RegenerateTokenResponse",
    "tokenkeep.v1.IntrospectTokenRequest",
    "tokenkeep.v1.ResolveTokensRequest",
    "tokenkeep.v1.TagKey",
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
        "tokenkeep/v1/principal_service.proto",
        "tokenkeep/v1/sidecar_service.proto",
        "tokenkeep/v1/error_reason.proto",
    ])?;
    fs::write(out_directory.join("tokenkeep.binpb"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        // A sidecar serves some methods of a service; the rest answer UNIMPLEMENTED.
        .generate_default_stubs(true)
        .btree_map(".tokenkeep.v1")
        .skip_debug(SECRET_BEARING)
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
