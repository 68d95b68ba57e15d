//! `tokenkeep sidecar`: answers introspections beside whoever asks, from a cache that servers keep coherent.

use std::fs;
use std::path::Path;

use super::RoleError;
use super::serve::shutdown;
use crate::compose::EdgeOptions;
use crate::compose::sidecar::{SidecarOptions, SidecarProcess};
use crate::server::limits::Limits;
use crate::server::listen::ListenAddress;
use crate::server::serving::ServingOptions;
use crate::settings::sidecar as settings;
use crate::settings::{OperationsListen, Origin, SettingsError};
use crate::text::Invalid;
use crate::upstream::{CredentialFile, Upstream, UpstreamTls};
use crate::workspace::WorkspaceId;

pub(super) fn run(settings: &settings::Sidecar) -> Result<(), RoleError> {
    let options = options(settings)?;
    super::runtime()?.block_on(async {
        let process = SidecarProcess::start(options)?;
        announce(&process);
        process.run(shutdown()).await?;
        Ok(())
    })
}

fn options(settings: &settings::Sidecar) -> Result<SidecarOptions, RoleError> {
    let upstream = &settings.upstream;
    let tls = tls(upstream)?;
    let addresses = upstream.upstream.iter();
    let upstreams = addresses.map(|address| Upstream::new(address, &tls, upstream.insecure_plaintext));
    Ok(SidecarOptions {
        upstreams: upstreams.collect::<Result<_, _>>()?,
        credential: CredentialFile::read(&upstream.credential_file)?,
        workspaces: workspaces(&settings.cache.workspace)?,
        cache_entries: settings.cache.cache_entries.get(),
        serving: serving(settings)?,
        operations: match settings.listening.operations_listen {
            OperationsListen::Off => None,
            OperationsListen::On(address) => Some(address),
        },
        edge: edge(settings)?,
        reflection: settings.listening.reflection,
        last_use_interval: settings.limits.last_use_interval,
        drain_timeout: settings.limits.drain_timeout,
    })
}

/// It asks nobody for a credential here either.
fn edge(settings: &settings::Sidecar) -> Result<Option<EdgeOptions>, RoleError> {
    let edge = super::edge::options(&settings.edge)?;
    if edge.as_ref().is_some_and(|edge| !edge.listen.is_loopback()) {
        return Err(wrong("edge-listen", "must be unix:/path or a loopback address and port").into());
    }
    Ok(edge)
}

fn serving(settings: &settings::Sidecar) -> Result<ServingOptions, RoleError> {
    let mut addresses = Vec::new();
    for text in &settings.listening.listen {
        let address: ListenAddress = text.parse()?;
        // It asks nobody for a credential.
        if !address.is_loopback() {
            return Err(wrong("listen", "must be unix:/path or a loopback address and port").into());
        }
        addresses.push(address);
    }
    let first = addresses.first().cloned().ok_or(SettingsError::Missing { name: "listen".to_owned() })?;
    let mut options = ServingOptions::new(first);
    options.listen = addresses;
    options.socket_mode = settings.listening.socket_mode;
    options.threads = settings.limits.threads.get();
    options.limits = Limits {
        unary_deadline: settings.limits.request_timeout,
        requests_in_flight: settings.limits.max_requests_in_flight.get(),
        ..Limits::default()
    };
    Ok(options)
}

fn workspaces(ids: &[String]) -> Result<Vec<WorkspaceId>, SettingsError> {
    let wrong = |invalid: Invalid| wrong("workspace", &invalid.to_string());
    ids.iter().map(|id| WorkspaceId::parse(id.clone()).map_err(wrong)).collect()
}

fn wrong(flag: &str, reason: &str) -> SettingsError {
    SettingsError::Value { origin: Origin::Flag(flag.to_owned()), reason: reason.to_owned() }
}

fn tls(settings: &settings::Upstream) -> Result<UpstreamTls, SettingsError> {
    let (certificate, key) = (&settings.upstream_client_certificate, &settings.upstream_client_key);
    let incomplete = |set, missing| Err(SettingsError::Incomplete { set, missing });
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?.into())),
        (Some(_), None) => return incomplete("upstream-client-certificate", "upstream-client-key"),
        (None, Some(_)) => return incomplete("upstream-client-key", "upstream-client-certificate"),
        (None, None) => None,
    };
    let authority = settings.upstream_ca.as_deref().map(read).transpose()?;
    Ok(UpstreamTls { authority, server_name: settings.upstream_server_name.clone(), identity })
}

fn read(path: &Path) -> Result<Vec<u8>, SettingsError> {
    fs::read(path).map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })
}

/// Says that the sidecar serves, and where.
fn announce(process: &SidecarProcess) {
    let listen: Vec<String> = process.addresses().iter().map(ToString::to_string).collect();
    let operations = process.operations().map_or_else(|| "none".to_owned(), |address| address.to_string());
    let edge = process.edge().map_or_else(|| "none".to_owned(), ToString::to_string);
    tracing::info!(listen = listen.join(","), operations, edge, version = crate::VERSION, "serving");
}
