//! The database URL: what of it is ours to understand, and what tokio-postgres is told.

use std::time::Duration;

use ::url::form_urlencoded;
use secrecy::ExposeSecret as _;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::DatabaseOptions;
use super::tls::{TlsError, TlsSettings};

/// Why a database URL cannot be used. No message holds any part of it that can be secret.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// Another scheme, or none.
    #[error("the database URL must begin with postgres:// or postgresql://")]
    Scheme,
    /// tokio-postgres cannot read it.
    #[error("the database URL cannot be read")]
    Unreadable(#[source] tokio_postgres::Error),
    /// What it says of TLS cannot be done.
    #[error("the database URL asks for TLS that cannot be had")]
    Tls(#[from] TlsError),
    /// No connection is allowed.
    #[error("the database needs at least one connection")]
    NoConnections,
}

/// A URL, understood.
pub(super) struct Target {
    pub(super) config: Config,
    pub(super) tls: TlsSettings,
}

/// Parts a database URL into what TLS is to do and everything else.
pub(super) fn parse(options: &DatabaseOptions) -> Result<Target, UrlError> {
    let url = options.url.expose_secret();
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(UrlError::Scheme);
    }
    let (rest, tls) = part(url)?;
    let mut config: Config = rest.parse().map_err(UrlError::Unreadable)?;
    // PostgreSQL speaks no TLS over Unix sockets; libpq ignores sslmode there, and so do we.
    let only_sockets =
        !config.get_hosts().is_empty() && config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
    config.ssl_mode(if only_sockets { SslMode::Disable } else { tls.negotiation() });
    fill_in(&mut config, options);
    Ok(Target { config, tls })
}

/// Takes the TLS parameters out. The query begins at the first `?` after the password, which may hold one itself.
fn part(url: &str) -> Result<(String, TlsSettings), TlsError> {
    let authority = url.find('@').unwrap_or(0);
    let query = url.get(authority..).and_then(|rest| rest.find('?')).map(|position| authority + position);
    let Some((base, query)) = query.and_then(|position| url.split_at_checked(position)) else {
        return Ok((url.to_owned(), TlsSettings::default()));
    };
    let mut tls = TlsSettings::default();
    let mut others = Vec::new();
    for pair in query.trim_start_matches('?').split('&') {
        // In these URLs, unlike in forms, `+` is itself.
        let literal = pair.replace('+', "%2B");
        let taken = match form_urlencoded::parse(literal.as_bytes()).next() {
            Some((name, value)) => tls.take(&name, &value)?,
            None => false,
        };
        if !taken {
            others.push(pair);
        }
    }
    Ok((format!("{base}?{}", others.join("&")), tls))
}

/// A silent peer is found out within seconds, not by TCP's own patience of hours, unless the URL says otherwise.
fn fill_in(config: &mut Config, options: &DatabaseOptions) {
    /// What tokio-postgres sets when it is told nothing.
    const UNSET: Duration = Duration::from_hours(2);
    if config.get_application_name().is_none() {
        config.application_name(&options.application_name);
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(options.connect_timeout);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(Duration::from_secs(8));
    }
    if config.get_keepalives_idle() == UNSET {
        config.keepalives_idle(Duration::from_secs(5));
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(Duration::from_secs(2));
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(3);
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn parsed(url: &str) -> Result<Target, UrlError> {
        parse(&DatabaseOptions::new(SecretString::from(url)))
    }

    #[test]
    fn what_is_not_about_tls_reaches_the_driver_as_written() {
        let url = "postgres://u:p%40?@a:1,b:2/db?connect_timeout=7&sslmode=require&options=-c%20x%3Dy";
        let config = parsed(url).unwrap().config;
        assert_eq!(config.get_password(), Some(&b"p@?"[..]));
        assert_eq!(config.get_hosts().len(), 2);
        assert_eq!(config.get_options(), Some("-c x=y"));
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(7)));
        assert_eq!(config.get_ssl_mode(), SslMode::Require);
    }

    #[test]
    fn a_silent_peer_is_found_out_within_seconds() {
        let config = parsed("postgres://u@a/db").unwrap().config;
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(3)));
        assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_secs(8)));
        assert_eq!(config.get_keepalives_idle(), Duration::from_secs(5));
        assert_eq!(config.get_application_name(), Some("tokenkeep"));
    }

    #[test]
    fn a_socket_needs_no_tls() {
        let config = parsed("postgres://u@%2Frun%2Fpg/db?sslmode=verify-full").unwrap().config;
        assert_eq!(config.get_ssl_mode(), SslMode::Disable);
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name() {
        assert!(matches!(parsed("mysql://a/db"), Err(UrlError::Scheme)));
        assert!(matches!(parsed("postgres://a/db?sslmode=maybe"), Err(UrlError::Tls(TlsError::UnknownMode))));
        let target = parsed("postgres://a/db?sslmode=verify-full&sslrootcert=/does/not/exist").unwrap();
        assert!(matches!(
            target.tls.client(),
            Err(TlsError::UnreadableFile { parameter: "sslrootcert", .. })
        ));
        let target = parsed("postgres://a/db?sslcert=/a").unwrap();
        assert!(matches!(target.tls.client(), Err(TlsError::HalfIdentity)));
        assert!(matches!(parsed("postgres://a/db?gssencmode=disable"), Err(UrlError::Unreadable(_))));
    }

    #[test]
    fn no_error_tells_the_password() {
        for url in ["postgres://u:hush@a:b/db", "postgres://u:hush@a/db?x=y", "mysql://u:hush@a"] {
            let told = parsed(url).map(|_| ()).unwrap_err();
            assert!(!format!("{told:?} {told}").contains("hush"), "{told:?}");
        }
    }
}
