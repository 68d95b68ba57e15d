//! `tokenkeep serve`: a server over a PostgreSQL database that somebody else runs.

use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::RoleError;
use crate::compose::{Server, ServerOptions};
use crate::hash::Hasher;
use crate::keyring::{Keyring, ReplayKeys, oldest_day};
use crate::profile;
use crate::server::limits::Limits;
use crate::server::listen::ListenAddress;
use crate::server::serving::ServingOptions;
use crate::server::tls::TlsFiles;
use crate::settings;
use crate::settings::OperationsListen;
use crate::settings::groups;
use crate::store::DatabaseOptions;

/// How long a request may wait for its turn at argon2.
pub(super) const HASH_WAIT: Duration = Duration::from_millis(250);

/// How often the TLS files are looked at for a change.
const TLS_RELOAD: Duration = Duration::from_secs(5);

pub(super) fn run(settings: &settings::Serve) -> Result<(), RoleError> {
    let keyring = Keyring::read(&settings.keys.keyring)?;
    let mut database = DatabaseOptions::new(settings.database.url()?.secret().clone());
    database.connections = settings.server.pool.database_connections.get();
    let direct = settings.direct_database.url()?;
    let direct = direct.map(|url| DatabaseOptions { url: url.secret().clone(), ..database.clone() });
    let keys = (keyring, settings.keys.keyring.as_path());
    let options = server_options(&settings.server, keys, database, direct)?;
    super::runtime()?.block_on(async {
        let server = Box::pin(Server::start(options)).await?;
        announce(&server, &settings.server);
        server.run(shutdown()).await?;
        Ok(())
    })
}

/// Takes from the settings what a server needs to know; `direct` is the way to the database for LISTEN and NOTIFY, if it
/// is another.
pub(super) fn server_options(
    settings: &groups::Server,
    (keyring, directory): (Keyring, &Path),
    database: DatabaseOptions,
    direct: Option<DatabaseOptions>,
) -> Result<ServerOptions, RoleError> {
    let limits = &settings.limits;
    Ok(ServerOptions {
        doorbell: settings.fleet.doorbell.then(|| direct.unwrap_or_else(|| database.clone())),
        lease: settings.fleet.lease,
        revision_retention: settings.fleet.revision_retention,
        audit_retention: settings.fleet.audit_retention,
        request_window: settings.fleet.request_window,
        replay: ReplayKeys::open(directory, oldest_day(settings.fleet.request_window))?,
        database,
        keyring,
        profiles: profile::load(settings.products.profiles.as_deref())?,
        hasher: hasher(&settings.hashing),
        serving: serving_options(settings)?,
        operations: match settings.listening.operations_listen {
            OperationsListen::Off => None,
            OperationsListen::On(address) => Some(address),
        },
        edge: super::edge::options(&settings.edge)?,
        reflection: settings.listening.reflection,
        last_use_interval: limits.last_use_interval,
        drain_timeout: limits.drain_timeout,
    })
}

pub(super) fn hasher(settings: &groups::Hashing) -> Hasher {
    Hasher::new(settings.argon2_cost.cost(), settings.argon2_width.get().get(), HASH_WAIT)
}

fn serving_options(settings: &groups::Server) -> Result<ServingOptions, RoleError> {
    let listen: ListenAddress = settings.listening.address.listen.parse()?;
    let mut options = ServingOptions::new(listen);
    options.tls = settings.listening.tls()?.map(|tls| TlsFiles {
        certificate_chain: tls.certificate,
        private_key: tls.key,
        client_authority: tls.client_ca,
        reload_interval: TLS_RELOAD,
    });
    options.insecure_plaintext = settings.listening.insecure_plaintext;
    options.threads = settings.limits.threads.get();
    options.limits = Limits {
        unary_deadline: settings.limits.request_timeout,
        requests_in_flight: settings.limits.max_requests_in_flight.get(),
        ..Limits::default()
    };
    Ok(options)
}

/// Says that the server serves, and where.
pub(super) fn announce(server: &Server, settings: &groups::Server) {
    let listen: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();
    let operations = server.operations().map_or_else(|| "none".to_owned(), |address| address.to_string());
    let edge = server.edge().map_or_else(|| "none".to_owned(), ToString::to_string);
    let tls = settings.listening.tls_certificate.is_some();
    tracing::info!(listen = listen.join(","), operations, edge, tls, version = crate::VERSION, "serving");
}

/// Comes back at SIGTERM or SIGINT; a second one ends the process at once.
pub(super) async fn shutdown() {
    next_signal().await;
    tokio::spawn(async {
        next_signal().await;
        tracing::warn!("a second signal: ending at once");
        std::process::exit(1);
    });
}

async fn next_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be caught; only a kill ends this process");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "asked to end"),
        _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "asked to end"),
    }
}
