//! Searches over made-up installations: shell scripts that tell a version.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

struct Machine {
    root: tempfile::TempDir,
    account: Account,
}

impl Machine {
    fn new() -> Self {
        let open = fs::Permissions::from_mode(0o755);
        let root = tempfile::Builder::new().permissions(open).tempdir().unwrap();
        Self { root, account: Account::choose(Path::new("/nowhere")).unwrap() }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(name)
    }

    /// Installs a pretended PostgreSQL in `place`.
    fn install(&self, place: &str, version: &str) -> PathBuf {
        let directory = self.place(place);
        fs::create_dir_all(&directory).unwrap();
        script(&directory.join("postgres"), &format!("echo 'postgres (PostgreSQL) {version}'"));
        script(&directory.join("initdb"), "");
        directory
    }

    fn find(&self, path: &str, major: Option<u32>) -> Result<Binaries, Report> {
        let place = self.place("lib");
        let installed = [(place.to_str().unwrap(), "pg")];
        let path = self.place(path).into();
        let builds = &self.place("builds");
        Search { path, installed: &installed, builds, account: &self.account, major }.find()
    }
}

fn script(path: &Path, line: &str) {
    fs::write(path, format!("#!/bin/sh\n{line}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn versions_are_read_as_distributions_and_betas_write_them() {
    let major = |text: &str| Version::parse(text).map(|version| version.major);
    assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
    assert_eq!(major("postgres (PostgreSQL) 19beta1"), Some(19));
    assert_eq!(major("postgres 15"), None);
}

#[test]
fn the_search_path_wins_and_its_links_are_followed() {
    let machine = Machine::new();
    machine.install("lib/pg17/bin", "17.1");
    let real = machine.install("opt/bin", "14.2");
    fs::create_dir(machine.place("path")).unwrap();
    symlink(real.join("postgres"), machine.place("path/postgres")).unwrap();
    let found = machine.find("path", None).unwrap();
    assert_eq!((found.directory(), found.major(), found.origin()), (real.as_path(), 14, Origin::SearchPath));
    let phrase = format!("PostgreSQL 14.2 in {} (on the search path)", real.display());
    assert_eq!(found.to_string(), phrase);
}

#[test]
fn pg_config_is_asked_before_the_distributions_directories() {
    let machine = Machine::new();
    machine.install("lib/pg17/bin", "17.1");
    let real = machine.install("opt/bin", "16.0");
    fs::create_dir(machine.place("path")).unwrap();
    script(&machine.place("path/pg_config"), &format!("echo {}", real.display()));
    assert_eq!(machine.find("path", None).unwrap().origin(), Origin::PgConfig);
}

#[test]
fn the_highest_installed_version_is_taken_by_number() {
    let machine = Machine::new();
    for major in ["9", "13", "100"] {
        machine.install(&format!("lib/pg{major}/bin"), &format!("{major}.0"));
    }
    assert_eq!(machine.find("none", None).unwrap().major(), 100);
}

#[test]
fn a_cluster_gets_the_version_that_made_it() {
    let machine = Machine::new();
    machine.install("lib/pg17/bin", "17.1");
    machine.install("lib/pg15/bin", "15.3");
    assert_eq!(machine.find("none", Some(15)).unwrap().major(), 15);
    let report = machine.find("none", Some(16)).unwrap_err().to_string();
    assert!(report.contains("PostgreSQL 17.1, but the cluster needs 16"), "{report}");
}

#[test]
fn every_place_that_does_not_serve_is_reported_with_the_reason() {
    let machine = Machine::new();
    machine.install("lib/pg12/bin", "12.9");
    fs::remove_file(machine.install("path", "17.0").join("initdb")).unwrap();
    script(&machine.install("lib/pg16/bin", "16").join("postgres"), "exit 7");
    let report = machine.find("path", None).unwrap_err().to_string();
    for expected in [
        "path (on the search path) has no `initdb`",
        "from pg_config: nothing",
        "PostgreSQL 12.9, older than 13",
        "pg16/bin (installed) does not run",
        "fetched: nothing",
    ] {
        assert!(report.contains(expected), "{expected} is not in {report}");
    }
}
