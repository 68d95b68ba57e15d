//! The line to the database: where it is and how TLS is spoken, for whoever makes a connection.

use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::DatabaseOptions;
use super::error::StoreError;
use super::url::{self, UrlError};

/// What drives a connection, until it ends.
pub(super) type Driver = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// A database URL, understood, its certificates read.
pub(super) struct Line {
    config: Config,
    tls: MakeRustlsConnect,
}

impl Line {
    pub(super) fn new(options: &DatabaseOptions) -> Result<Self, UrlError> {
        let target = url::parse(options)?;
        Ok(Self { config: target.config, tls: MakeRustlsConnect::new(target.tls.client()?) })
    }

    /// A new connection. The caller bounds the time.
    pub(super) async fn connect(&self) -> Result<(Client, Driver), StoreError> {
        self.config.connect(self.tls.clone()).await.map_err(StoreError::unavailable)
    }
}
