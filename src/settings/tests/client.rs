//! What the command line of the commands for people promises.

use secrecy::ExposeSecret as _;

use super::samples::SERVE;
use super::{Role, help, read, refusal};

#[test]
fn a_credential_is_taken_from_everywhere_but_the_arguments() {
    let secret = "tk_hunter2";
    for arguments in [["--credential", secret, "show", "x"], ["show", "x", "--credential", secret]] {
        let told = refusal(&[&["token"], &arguments[..]].concat(), &[]);
        assert!(told.contains("TOKENKEEP_CREDENTIAL") && told.contains("--credential-file"), "{told}");
    }
    let taken = read(&["token", "show", "x"], &[("TOKENKEEP_CREDENTIAL", secret)]).unwrap();
    assert!(!format!("{taken:?}").contains("hunter2"));
    let Role::Token(asked) = taken.role else { panic!() };
    assert_eq!(asked.client.server.credential.unwrap().expose_secret(), secret);
}

#[test]
fn what_is_common_to_the_commands_for_people_may_stand_before_or_after_the_word() {
    for arguments in
        [["token", "--server", "unix:/s", "show", "x"], ["token", "show", "x", "--server", "unix:/s"]]
    {
        let Role::Token(asked) = read(&arguments, &[("TOKENKEEP_SERVER", "unix:/other")]).unwrap().role
        else {
            panic!()
        };
        assert_eq!(asked.client.server.server.as_deref(), Some("unix:/s"));
    }
    let told = refusal(&["token", "list"], &[]);
    assert!(told.contains("--workspace or TOKENKEEP_WORKSPACE"), "{told}");
    assert!(read(&["token", "list"], &[("TOKENKEEP_WORKSPACE", "acme")]).is_ok());
}

#[test]
fn every_command_for_people_tells_the_exit_codes() {
    for words in [&["token"][..], &["token", "introspect"], &["workspace", "edit"], &["audit", "list"]] {
        assert!(help(words).contains("3 the token is not active"), "{words:?}");
    }
    assert!(!help(SERVE).contains("Exit codes"));
}
