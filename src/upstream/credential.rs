//! A credential of whoever asks: a token, mostly in a file, read again whenever it may have changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::token::{Presented, TokenId};

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// Why there is no credential.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The file cannot be read.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// What stands in it is no token.
    #[error("{} holds no token", .0.display())]
    NotAToken(PathBuf),
    /// What was given is no token.
    #[error("the credential is no token")]
    Malformed,
}

/// A credential as it was read.
#[derive(Debug, Clone)]
pub struct Credential {
    token: TokenId,
    text: SecretString,
}

impl Credential {
    /// Takes a token, and leaves out what stands around it.
    ///
    /// # Errors
    /// [`CredentialError::Malformed`].
    pub fn parse(text: &SecretString) -> Result<Self, CredentialError> {
        let text = SecretString::from(text.expose_secret().trim());
        let token = Presented::parse(text.expose_secret()).map_err(|_| CredentialError::Malformed)?.id;
        Ok(Self { token, text })
    }

    /// Reads it from a file, which holds one token and perhaps a line's end.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn read(path: &Path) -> Result<Self, CredentialError> {
        let text = fs::read_to_string(path).map(SecretString::from);
        let text = text.map_err(|source| CredentialError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|_| CredentialError::NotAToken(path.to_owned()))
    }

    /// The token that it is a secret of. It decides for good which workspaces its holder can see.
    #[must_use]
    pub const fn token(&self) -> TokenId {
        self.token
    }

    pub(super) const fn text(&self) -> &SecretString {
        &self.text
    }
}

/// The file that holds the credential, and what was last read from it.
#[derive(Debug, Clone)]
pub struct CredentialFile {
    path: PathBuf,
    credential: Credential,
}

impl CredentialFile {
    /// Reads the file, which holds one token and perhaps a line's end.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn read(path: &Path) -> Result<Self, CredentialError> {
        Ok(Self { path: path.to_owned(), credential: Credential::read(path)? })
    }

    /// What was read last.
    #[must_use]
    pub const fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Reads the file again and says whether it holds another credential. One that cannot be read just now, as while it is
    /// written, changes nothing.
    pub fn renew(&mut self) -> bool {
        match Credential::read(&self.path) {
            Ok(found) => {
                let differs = found.text.expose_secret() != self.credential.text.expose_secret();
                self.credential = found;
                differs
            }
            Err(error) => {
                tracing::debug!(error = crate::telemetry::chain(&error), "the credential is kept as it was");
                false
            }
        }
    }

    /// Comes back when the file holds another credential than the one that was read before.
    pub async fn changed(mut self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            if self.renew() {
                return;
            }
        }
    }
}
