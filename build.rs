//! Compiles the protos without protoc, and keeps the descriptor set for server reflection.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Messages that carry a secret: their `Debug` is written by hand in `src/proto.rs`.
const SECRET_BEARING: [&str; 21] = [
    "tokenkeep.v1.CreateTokenResponse",
    "tokenkeep.v1.CreatePrincipalResponse",
    "tokenkeep.v1.RegenerateTokenResponse",
    "tokenkeep.v1.IntrospectTokenRequest",
    "tokenkeep.v1.ResolveTokensRequest",
    "tokenkeep.v1.RevokeSecretRequest",
    "tokenkeep.v1.TagKey",
    // A request id may open a secret.
    "tokenkeep.v1.CreateTokenRequest",
    "tokenkeep.v1.UpdateTokenRequest",
    "tokenkeep.v1.RegenerateTokenRequest",
    "tokenkeep.v1.EndOverlapRequest",
    "tokenkeep.v1.SuspendTokenRequest",
    "tokenkeep.v1.ResumeTokenRequest",
    "tokenkeep.v1.RevokeTokenRequest",
    "tokenkeep.v1.BulkRevokeTokensRequest",
    "tokenkeep.v1.CreateWorkspaceRequest",
    "tokenkeep.v1.UpdateWorkspaceRequest",
    "tokenkeep.v1.InvalidateWorkspaceTokensRequest",
    "tokenkeep.v1.CreatePrincipalRequest",
    "tokenkeep.v1.UpdatePrincipalRequest",
    "tokenkeep.v1.DeletePrincipalRequest",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rustc-env=BUILD_TARGET={}", env::var("TARGET")?);
    println!("cargo::rerun-if-changed=vendor/proto");
    let out_directory = PathBuf::from(env::var("OUT_DIR")?);
    compile_ours(&out_directory)?;
    compile_envoys(&out_directory)
}

fn compile_ours(out_directory: &Path) -> Result<(), Box<dyn Error>> {
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files([
        "tokenkeep/v1/token_service.proto",
        "tokenkeep/v1/workspace_service.proto",
        "tokenkeep/v1/principal_service.proto",
        "tokenkeep/v1/sidecar_service.proto",
        "tokenkeep/v1/audit_service.proto",
        "tokenkeep/v1/error_reason.proto",
    ])?;
    fs::write(out_directory.join("tokenkeep.binpb"), compiler.encode_file_descriptor_set())?;
    let mut config = prost_build::Config::new();
    // Messages are written as JSON by their names.
    config.enable_type_names();
    tonic_prost_build::configure()
        // A sidecar serves some methods of a service; the rest answer UNIMPLEMENTED.
        .generate_default_stubs(true)
        .btree_map(".tokenkeep.v1")
        .skip_debug(SECRET_BEARING)
        .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
    Ok(())
}

/// What of Envoy's closure is only said about fields, and needs no code.
const ANNOTATIONS: [&str; 4] = ["envoy.annotations", "udpa.annotations", "validate", "xds.annotations.v3"];

fn compile_envoys(out_directory: &Path) -> Result<(), Box<dyn Error>> {
    let mut compiler = protox::Compiler::new(["vendor/proto"])?;
    compiler.include_imports(true).include_source_info(false);
    compiler.open_file("envoy/service/auth/v3/external_auth.proto")?;
    fs::write(out_directory.join("envoy.binpb"), compiler.encode_file_descriptor_set())?;
    let mut files = compiler.file_descriptor_set();
    files.file.retain(|file| !ANNOTATIONS.contains(&file.package()));
    tonic_prost_build::configure()
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .btree_map(".envoy")
        // It holds the headers of a client's request, the credential among them; see `src/proto.rs`.
        .skip_debug(["envoy.service.auth.v3.AttributeContext.HttpRequest"])
        .compile_fds(files)?;
    Ok(())
}
