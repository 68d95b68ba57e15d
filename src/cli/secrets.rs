//! The way of secrets through a command: in from a file or the standard input, out to a file or the standard output, once.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::path::PathBuf;

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::error::CliError;
use crate::private_file::PrivateFile;
use crate::proto::v1;
use crate::settings::client::{SecretIn, SecretOut};

/// More than a file of ten thousand secrets.
const MOST: u64 = 1024 * 1024;

/// Reads one secret; without its line's end and blanks around it.
pub(super) fn one(place: &SecretIn) -> Result<SecretString, CliError> {
    let text = read(place, "Token: ")?;
    let secret = text.expose_secret().trim();
    if secret.is_empty() {
        return Err(CliError::NothingPresented(name(place)));
    }
    Ok(SecretString::from(secret))
}

/// Reads secrets, one a line; empty lines are left out.
pub(super) fn many(place: &SecretIn) -> Result<Vec<SecretString>, CliError> {
    let text = read(place, "Secrets, one a line, then Ctrl-D:\n")?;
    let lines = text.expose_secret().lines().map(str::trim).filter(|line| !line.is_empty());
    let secrets: Vec<SecretString> = lines.map(SecretString::from).collect();
    if secrets.is_empty() { Err(CliError::NothingPresented(name(place))) } else { Ok(secrets) }
}

fn name(place: &SecretIn) -> String {
    place
        .token_file
        .as_ref()
        .map_or_else(|| "the standard input".to_owned(), |path| path.display().to_string())
}

fn read(place: &SecretIn, prompt: &str) -> Result<SecretString, CliError> {
    let text = match &place.token_file {
        Some(path) => File::open(path).and_then(all),
        None if io::stdin().is_terminal() => unseen(prompt),
        None => all(io::stdin().lock()),
    };
    text.map_err(|source| CliError::Input { from: name(place), source })
}

fn all(from: impl Read) -> io::Result<SecretString> {
    let mut text = Zeroizing::new(String::new());
    from.take(MOST).read_to_string(&mut text)?;
    Ok(SecretString::from(text.as_str()))
}

/// Reads from a terminal that shows nothing of it meanwhile.
fn unseen(prompt: &str) -> io::Result<SecretString> {
    let _ = io::stderr().write_all(prompt.as_bytes());
    let before = tcgetattr(io::stdin())?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
    let text = if prompt.ends_with('\n') { all(io::stdin().lock()) } else { line() };
    tcsetattr(io::stdin(), OptionalActions::Flush, &before)?;
    let _ = io::stderr().write_all(b"\n");
    text
}

fn line() -> io::Result<SecretString> {
    let mut text = Zeroizing::new(String::new());
    io::stdin().read_line(&mut text)?;
    Ok(SecretString::from(text.as_str()))
}

/// Where a new secret goes, made ready before there is one.
pub(super) struct Place(Option<(PathBuf, PrivateFile)>);

/// An answer that shows a new secret.
pub(super) trait Issued {
    /// The secret.
    fn secret(&mut self) -> &mut String;
}

impl Place {
    /// Finds out whether the file can be written, before anything is issued.
    pub(super) fn prepare(out: &SecretOut) -> Result<Self, CliError> {
        let Some(path) = &out.out else { return Ok(Self(None)) };
        let unwritable = |source| CliError::Unwritable { path: path.clone(), source };
        Ok(Self(Some((path.clone(), PrivateFile::begin(path).map_err(unwritable)?))))
    }

    /// Puts the secret into its file, and takes it out of the answer; without a file it stays there to be shown.
    pub(super) fn take(self, answer: &mut impl Issued) -> Result<(), CliError> {
        let Some((path, file)) = self.0 else { return Ok(()) };
        let secret = Zeroizing::new(std::mem::take(answer.secret()));
        file.finish(&secret).map_err(|source| CliError::SecretLost { path, source })
    }
}

impl Issued for v1::CreateTokenResponse {
    fn secret(&mut self) -> &mut String {
        &mut self.secret
    }
}

impl Issued for v1::RegenerateTokenResponse {
    fn secret(&mut self) -> &mut String {
        &mut self.secret
    }
}

impl Issued for v1::CreatePrincipalResponse {
    fn secret(&mut self) -> &mut String {
        &mut self.secret
    }
}
