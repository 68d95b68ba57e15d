//! The sidecar's own credential: a token in a file, read again whenever it may have changed.

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
}

/// A credential as it was read.
#[derive(Debug, Clone)]
pub(super) struct Credential {
    /// The token that it is a secret of. It decides for good which workspaces the sidecar can see.
    pub(super) token: TokenId,
    pub(super) text: SecretString,
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
        Ok(Self { path: path.to_owned(), credential: read(path)? })
    }

    pub(super) const fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Reads the file again and says whether it holds another credential. One that cannot be read just now, as while it is
    /// written, changes nothing.
    pub(super) fn renew(&mut self) -> bool {
        match read(&self.path) {
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
    pub(super) async fn changed(mut self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            if self.renew() {
                return;
            }
        }
    }
}

fn read(path: &Path) -> Result<Credential, CredentialError> {
    let text = fs::read_to_string(path).map(SecretString::from);
    let text = text.map_err(|source| CredentialError::Unreadable { path: path.to_owned(), source })?;
    let text = SecretString::from(text.expose_secret().trim());
    let not_a_token = |_| CredentialError::NotAToken(path.to_owned());
    let token = Presented::parse(text.expose_secret()).map_err(not_a_token)?.id;
    Ok(Credential { token, text })
}
