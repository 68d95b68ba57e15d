//! Replay keys: what opens until when.

use std::os::unix::fs::PermissionsExt as _;

use secrecy::ExposeSecret as _;

use super::*;

const ID: &str = "9f1c6f0e-3f0a-4c55-8f0e-2d9a4c1b7a55";

fn opened(keys: &ReplayKeys, sealed: &Sealed, id: &str) -> Option<String> {
    let id = RequestId::parse(id).unwrap();
    let digest = keys.digest(TokenId::from_uuid(uuid::Uuid::nil()), "CreateToken", &id);
    keys.unseal(sealed, &id, digest).ok().map(|secret| secret.expose_secret().to_owned())
}

fn sealed(keys: &ReplayKeys, day: Day) -> Sealed {
    let id = RequestId::parse(ID).unwrap();
    let digest = keys.digest(TokenId::from_uuid(uuid::Uuid::nil()), "CreateToken", &id);
    keys.seal(day, &id, digest, "tk_secret").unwrap()
}

#[test]
fn a_secret_opens_until_its_day_is_over_and_never_without_the_request_id() {
    let directory = tempfile::tempdir().unwrap();
    let keys = ReplayKeys::open(directory.path(), Day(100)).unwrap();
    let sealed = sealed(&keys, Day(101));
    assert_eq!(opened(&keys, &sealed, ID).as_deref(), Some("tk_secret"));
    assert_eq!(opened(&keys, &sealed, "9f1c6f0e-3f0a-4c55-8f0e-2d9a4c1b7a56"), None);
    keys.destroy_before(Day(101)).unwrap();
    let elsewhere = ReplayKeys::open(directory.path(), Day(101)).unwrap();
    assert_eq!(opened(&elsewhere, &sealed, ID).as_deref(), Some("tk_secret"));
    assert_eq!(elsewhere.fingerprint_of(Day(105)), keys.fingerprint_of(Day(105)));
    keys.destroy_before(Day(102)).unwrap();
    assert_eq!(opened(&keys, &sealed, ID), None);
    assert_eq!(opened(&ReplayKeys::open(directory.path(), Day(101)).unwrap(), &sealed, ID), None);
    // Nor where the file is behind.
    let behind = tempfile::tempdir().unwrap();
    ReplayKeys::open(behind.path(), Day(100)).unwrap();
    let late = ReplayKeys::open(behind.path(), Day(103)).unwrap();
    assert_eq!(late.fingerprint_of(Day(102)), None);
}

#[test]
fn the_file_is_for_its_owner_only_and_holds_nothing_of_yesterday() {
    let directory = tempfile::tempdir().unwrap();
    let keys = ReplayKeys::open(directory.path(), Day(100)).unwrap();
    let path = directory.path().join("replay");
    let yesterdays = fs::read_to_string(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    keys.destroy_before(Day(101)).unwrap();
    let todays = fs::read_to_string(&path).unwrap();
    let key = |text: &str| text.split_whitespace().nth(2).unwrap().to_owned();
    assert_ne!(key(&todays), key(&yesterdays));
    assert!(!todays.contains(&key(&yesterdays)));
    // Whoever is behind does not bring back what is destroyed.
    ReplayKeys::open(directory.path(), Day(99)).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), todays);
    assert_eq!(format!("{keys:?}"), format!("ReplayKeys {{ path: {path:?}, .. }}"));
}

#[test]
fn a_file_that_holds_something_else_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for wrong in ["", "1 2 3", &format!("{0} x {0}", "ab".repeat(32))] {
        fs::write(directory.path().join("replay"), wrong).unwrap();
        let refused = ReplayKeys::open(directory.path(), Day(1)).unwrap_err();
        assert!(matches!(refused, KeyringError::BadReplayKey(_)), "{wrong}");
    }
}

#[test]
fn another_caller_rpc_or_id_is_another_request() {
    let directory = tempfile::tempdir().unwrap();
    let keys = ReplayKeys::open(directory.path(), Day(1)).unwrap();
    let (id, other) = (RequestId::parse(ID).unwrap(), ID.replace("9f", "9e"));
    let (ada, bob) = (TokenId::generate(), TokenId::generate());
    let digest = keys.digest(ada, "CreateToken", &id);
    assert_eq!(keys.digest(ada, "CreateToken", &id), digest);
    assert_ne!(keys.digest(bob, "CreateToken", &id), digest);
    assert_ne!(keys.digest(ada, "RevokeToken", &id), digest);
    assert_ne!(keys.digest(ada, "CreateToken", &RequestId::parse(&other).unwrap()), digest);
}
