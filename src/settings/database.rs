//! The database URL, which may hold a password and is therefore never printed.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Origin, SettingsError};
use crate::text::Invalid;

/// A URL of a PostgreSQL database. Its `Debug` is redacted.
#[derive(Debug, Clone)]
pub struct DatabaseUrl(SecretString);

impl DatabaseUrl {
    /// Takes a URL with the scheme `postgres` or `postgresql`; the rest is judged when it is used.
    ///
    /// # Errors
    /// [`Invalid::Malformed`], which does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let known = text.starts_with("postgres://") || text.starts_with("postgresql://");
        let wanted = Invalid::Malformed("a URL like postgres://user:password@host:5432/database");
        if known { Ok(Self(text.into())) } else { Err(wanted) }
    }

    /// The URL, for whoever connects.
    #[must_use]
    pub const fn secret(&self) -> &SecretString {
        &self.0
    }

    /// Whether a password stands in it, in the user's part or as a parameter. In doubt it does.
    #[must_use]
    pub fn has_password(&self) -> bool {
        let url = self.0.expose_secret();
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let user = rest.rsplit_once('@').map_or("", |(user, _)| user);
        user.contains(':') || url.contains("password=")
    }
}

/// Which database: by its URL, or by a file that holds the URL.
#[derive(Debug, Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseSource {
    /// The URL of the database, like `postgres://user@host/database?sslmode=verify-full`; as a flag it must not hold
    /// a password, for every process of the machine can read that.
    #[arg(long, value_name = "URL", value_parser = DatabaseUrl::parse)]
    database_url: Option<DatabaseUrl>,
    /// A file that holds the URL of the database, instead of the URL itself.
    #[arg(long, value_name = "FILE")]
    database_url_file: Option<PathBuf>,
}

impl DatabaseSource {
    /// The URL; its file is read now, so that a renewed password is found by a restart.
    ///
    /// # Errors
    /// [`SettingsError`] if neither or both are set, or if the file holds no URL.
    pub fn url(&self) -> Result<DatabaseUrl, SettingsError> {
        let url = self.url_if_any()?;
        url.ok_or_else(|| SettingsError::Missing { name: "database-url".to_owned() })
    }

    /// The URL, if there is one, for whoever can do without.
    ///
    /// # Errors
    /// [`SettingsError`] if both are set, or if the file holds no URL.
    pub fn url_if_any(&self) -> Result<Option<DatabaseUrl>, SettingsError> {
        match (&self.database_url, &self.database_url_file) {
            (url, None) => Ok(url.clone()),
            (None, Some(path)) => read_url(path).map(Some),
            (Some(_), Some(_)) => Err(SettingsError::Both { names: ["database-url", "database-url-file"] }),
        }
    }
}

/// Another way to the same database, past a pooler.
#[derive(Debug, Args)]
#[command(next_help_heading = "Database")]
pub struct DirectDatabaseSource {
    /// The URL of the same database for LISTEN and NOTIFY, if the other URL leads through a pooler that cannot do these;
    /// as a flag it must not hold a password.
    #[arg(long, value_name = "URL", value_parser = DatabaseUrl::parse)]
    direct_database_url: Option<DatabaseUrl>,
    /// A file that holds that URL, instead of the URL itself.
    #[arg(long, value_name = "FILE")]
    direct_database_url_file: Option<PathBuf>,
}

impl DirectDatabaseSource {
    /// The URL, if there is one; its file is read now.
    ///
    /// # Errors
    /// [`SettingsError`] if both are set, or if the file holds no URL.
    pub fn url(&self) -> Result<Option<DatabaseUrl>, SettingsError> {
        let names = ["direct-database-url", "direct-database-url-file"];
        match (&self.direct_database_url, &self.direct_database_url_file) {
            (Some(_), Some(_)) => Err(SettingsError::Both { names }),
            (url, None) => Ok(url.clone()),
            (None, Some(path)) => read_url(path).map(Some),
        }
    }
}

fn read_url(path: &Path) -> Result<DatabaseUrl, SettingsError> {
    let text = fs::read_to_string(path).map(SecretString::from);
    let text = text.map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })?;
    let origin = || Origin::File(path.to_owned());
    DatabaseUrl::parse(text.expose_secret().trim())
        .map_err(|reason| SettingsError::Value { origin: origin(), reason: reason.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_seen_wherever_it_stands() {
        let has_password = |url| DatabaseUrl::parse(url).unwrap().has_password();
        assert!(has_password("postgres://user:secret@host/database"));
        assert!(has_password("postgres://user:se/cr?et@host/database"));
        assert!(has_password("postgresql:///database?user=u&password=secret"));
        assert!(has_password("postgres://host/database?sslpassword=secret"));
        assert!(!has_password("postgres://user@host:5432/database?sslmode=require"));
        assert!(!has_password("postgres://%2Frun%2Fpostgresql:5432/database"));
    }

    #[test]
    fn the_url_may_stand_in_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("url");
        let source = DatabaseSource { database_url: None, database_url_file: Some(path.clone()) };
        assert!(matches!(source.url(), Err(SettingsError::Unreadable { .. })));
        fs::write(&path, "postgres://user:secret@host/database\n").unwrap();
        assert_eq!(source.url().unwrap().secret().expose_secret(), "postgres://user:secret@host/database");
        fs::write(&path, "hunter2").unwrap();
        let error = source.url().unwrap_err();
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn neither_and_both_are_refused() {
        let neither = DatabaseSource { database_url: None, database_url_file: None };
        assert!(neither.url().unwrap_err().to_string().contains("TOKENKEEP_DATABASE_URL"));
        let url = DatabaseUrl::parse("postgres://host/database").ok();
        let both = DatabaseSource { database_url: url, database_url_file: Some("url".into()) };
        assert!(matches!(both.url(), Err(SettingsError::Both { .. })));
    }
}
