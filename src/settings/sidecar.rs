//! The settings that only a sidecar has.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::groups::{Edge, Limits};
use super::value::{self, OperationsListen};
use crate::text::Invalid;

/// Settings of `sidecar`.
#[derive(Debug, Args)]
pub struct Sidecar {
    /// Where it listens.
    #[command(flatten)]
    pub listening: Listening,
    /// How proxies ask it.
    #[command(flatten)]
    pub edge: Edge,
    /// Which servers it asks.
    #[command(flatten)]
    pub upstream: Upstream,
    /// How much it does at once.
    #[command(flatten)]
    pub limits: Limits,
    /// What it keeps.
    #[command(flatten)]
    pub cache: Cache,
}

/// Where a sidecar is offered. Whoever can connect may ask, so it listens on this machine only.
#[derive(Debug, Args)]
#[command(next_help_heading = "Listening")]
pub struct Listening {
    /// The addresses that introspections are served on, separated by commas: `unix:/path` of a socket, or a loopback
    /// address and port, which any process of this machine can connect to.
    #[arg(long, value_name = "ADDRESS", required = true, value_delimiter = ',')]
    pub listen: Vec<String>,
    /// The mode of a Unix socket's file, which decides who may ask.
    #[arg(long, value_name = "MODE", default_value = "0600", value_parser = mode)]
    pub socket_mode: u32,
    /// The address of `/metrics` and `/healthz` over HTTP, or `none` for no such listener.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50054", value_parser = OperationsListen::parse)]
    pub operations_listen: OperationsListen,
    /// Whether clients may ask for the schema of the API (gRPC server reflection).
    #[arg(long, value_name = "BOOLEAN", default_value = "true", action = clap::ArgAction::Set)]
    pub reflection: bool,
}

/// The servers that a sidecar asks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Servers")]
pub struct Upstream {
    /// The servers, separated by commas, any of which will do: `https://host:port`, `http://127.0.0.1:port` or
    /// `unix:/path`.
    #[arg(long, value_name = "ADDRESS", required = true, value_delimiter = ',')]
    pub upstream: Vec<String>,
    /// A file that holds the sidecar's own token, with the scopes `tokenkeep:sidecar` and `tokenkeep:revocations:watch`;
    /// read again when it changes.
    #[arg(long, value_name = "FILE")]
    pub credential_file: PathBuf,
    /// Trust the certificate authorities in this PEM file, instead of those of the web.
    #[arg(long, value_name = "FILE")]
    pub upstream_ca: Option<PathBuf>,
    /// The name that the servers' certificates must bear, if it is not the host of the address.
    #[arg(long, value_name = "NAME")]
    pub upstream_server_name: Option<String>,
    /// The certificate to present, as a PEM file, to servers that want one of their clients; goes with a key.
    #[arg(long, value_name = "FILE")]
    pub upstream_client_certificate: Option<PathBuf>,
    /// The private key of that certificate, a PEM file.
    #[arg(long, value_name = "FILE")]
    pub upstream_client_key: Option<PathBuf>,
    /// Ask servers of other machines without TLS: whoever sees the network sees the tokens.
    #[arg(long)]
    pub insecure_plaintext: bool,
}

/// What a sidecar keeps, and for whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cache")]
pub struct Cache {
    /// The most tokens remembered, of some hundred bytes each.
    #[arg(long, value_name = "COUNT", default_value = "65536", value_parser = value::count)]
    pub cache_entries: NonZeroUsize,
    /// The only workspaces to answer for, separated by commas; all that the credential acts on unless set.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub workspace: Vec<String>,
}

/// Reads a file's mode for its owner, its group and others, in octal digits.
fn mode(text: &str) -> Result<u32, Invalid> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or(Invalid::Malformed("a mode in octal digits, like 0600 or 0660"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_octal_and_only_about_who_may() {
        assert_eq!(mode("0660"), Ok(0o660));
        for text in ["", "0680", "1777", "rw-", "-1"] {
            assert!(mode(text).is_err(), "{text}");
        }
    }
}
