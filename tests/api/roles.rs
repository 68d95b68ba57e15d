//! The roles beside `serve`, and the settings that all of them read alike.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tokenkeep::proto::v1;
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_reflection::pb;

use crate::calls::Call;
use crate::clients::{refusal, refused};
use crate::harness::{Database, Server, tokenkeep};
use crate::refusals::end_of;
use crate::watchers::Watcher;

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_token_is_one_and_a_reset_ends_it() {
    let server = Server::start_with(Database::fresh().await, |command| command).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("operator-token");
    let issue = |reset: bool| {
        let mut command = server.database.command("operator-token");
        command.args(["--log", "error", "--out"]).arg(&file).args(reset.then_some("--reset"));
        end_of(command)
    };
    let (code, told) = issue(false);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("--reset"), "{told}");
    assert!(!file.exists(), "a refused call leaves no file");

    let list = Call::ListWorkspaces(v1::ListWorkspacesRequest::default());
    let old = server.operator().await;
    list.by(&old).await.unwrap();
    fs::write(&file, "an older one, readable to all").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, told) = issue(true);
    assert_eq!((code, told.as_str()), (Some(0), ""));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let secret = fs::read_to_string(&file).unwrap();
    list.by(&server.client(secret.trim()).await).await.unwrap();
    let status = list.by(&old).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::Unauthenticated, "CREDENTIAL_INVALID"));
}

#[tokio::test(flavor = "multi_thread")]
async fn renewing_the_history_by_hand_ends_every_cursor_of_the_old_one() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    let cursor = Watcher::at_head(&operator).await.cursor;
    let output = server.database.command("renew-history").args(["--log", "error"]).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    let row = "SELECT id::text FROM histories";
    let renewed: String = server.database.connect().await.query_one(row, &[]).await.unwrap().get(0);
    let ended = format!("revision {};", server.database.head().await);
    assert!(told.contains(&renewed) && told.contains(&ended), "{told}");
    let foreign = refused(Code::FailedPrecondition, "CURSOR_FOREIGN");
    let status = Watcher::try_open(&operator, "", &cursor).await.map(drop).unwrap_err();
    assert_eq!(refusal(&status), foreign);
    // The server goes on in the new one.
    let mut anew = Watcher::at_head_in_the_end(&operator).await;
    operator.create_workspace("acme").await;
    let (token, _) = operator.create_token("acme", "new", &[]).await;
    operator.revoke(&token.id).await.unwrap();
    assert_eq!(anew.event().await.1.token_id, token.id);
}

fn healthcheck(arguments: &[&str]) -> (Option<i32>, String) {
    let output = tokenkeep("healthcheck").args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_tells_by_its_exit_code_what_the_server_says() {
    let mut server = Server::start().await;
    let address = server.address.to_string();
    assert_eq!(healthcheck(&["--address", &address]), (Some(0), "Serving".to_owned()));
    let service = "tokenkeep.v1.TokenService";
    assert_eq!(healthcheck(&["--address", &address, "--service", service]).0, Some(0));
    let none = healthcheck(&["--address", &address, "--service", "no.such.Service"]);
    assert_eq!(none, (Some(1), "NotServing".to_owned()));
    server.signal("KILL");
    server.wait(std::time::Duration::from_secs(5)).await;
    assert_eq!(healthcheck(&["--address", &address]), (Some(2), "Unreachable".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_of_each_service_and_of_no_other() {
    let server = Server::start().await;
    let mut client = server.anonymous().await;
    for service in ["", "tokenkeep.v1.TokenService", "tokenkeep.v1.WorkspaceService"] {
        assert!(client.health(service).await.unwrap(), "{service}");
    }
    assert_eq!(client.health("no.such.Service").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_may_be_run_again() {
    let database = Database::empty().await;
    for _ in 0..2 {
        let (code, told) = end_of(database.command("migrate"));
        assert_eq!(code, Some(0), "{told}");
    }
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'tokens'";
    assert_eq!(database.connect().await.query_one(tables, &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[test]
fn version_tells_what_it_was_built_from() {
    let output = tokenkeep("version").output().unwrap();
    assert!(output.status.success());
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.starts_with(&format!("tokenkeep {} (commit ", tokenkeep::VERSION)), "{told}");
}

#[test]
fn profile_check_tells_right_files_from_wrong_ones() {
    let directory = tempfile::tempdir().unwrap();
    let wrong = directory.path().join("acme.toml");
    let undb = fs::read_to_string("profiles/undb.toml").unwrap();
    fs::write(&wrong, undb.replace("version = 1", "version = 0")).unwrap();
    let check = |files: &[&str]| {
        let output = tokenkeep("profile").arg("check").args(files).output().unwrap();
        let [told, errors] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), told, errors)
    };
    let right = "profiles/undb.toml: the profile undb, version 1, is right\n";
    assert_eq!(check(&["profiles/undb.toml"]), (Some(0), right.to_owned(), String::new()));
    let path = wrong.to_str().unwrap();
    let (code, told, errors) = check(&[path, "profiles/undb.toml"]);
    assert_eq!((code, told.as_str()), (Some(1), right));
    for line in ["4:8: `name` must be the file's name, acme", "5:11: `version` must be a whole number from 1"]
    {
        assert!(errors.contains(&format!("\n{path}:{line}")), "{errors}");
    }
    assert_eq!(check(&["/not/there.toml"]).0, Some(1));
    assert_eq!(check(&[]).0, Some(2));
}

#[test]
fn a_server_does_not_start_with_a_wrong_profile() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("ab.key"), "0123456789abcdef".repeat(4)).unwrap();
    fs::set_permissions(directory.path().join("ab.key"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(directory.path().join("acme.toml"), "version = 0\n").unwrap();
    let mut command = tokenkeep("serve");
    command.env("TOKENKEEP_DATABASE_URL", "postgres://nobody@127.0.0.1:1/none");
    command.arg("--keyring").arg(directory.path()).arg("--profiles").arg(directory.path());
    let (code, told) = end_of(command);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("acme.toml:1:11: `version` must be a whole number"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokenkeep.toml");
    fs::write(&file, "reflection = false\n").unwrap();
    let variables = [("TOKENKEEP_CONFIG", file.to_str().unwrap()), ("TOKENKEEP_REFLECTION", "true")];
    let flags = ["--reflection", "false"];
    // By default it is on; each layer turns it round.
    for (layers, expected) in [
        ((&[][..], &[][..]), true),
        ((&variables[..1], &[]), false),
        ((&variables, &[]), true),
        ((&variables, &flags), false),
    ] {
        let (variables, flags): (&[(&str, &str)], &[&str]) = layers;
        let server = Server::start_with(Database::fresh().await, |command| {
            command.envs(variables.iter().copied()).args(flags)
        })
        .await;
        assert_eq!(reflects(&server).await, expected, "{layers:?}");
    }
}

/// Whether a client can ask for the schema, in both versions of the protocol or in none.
async fn reflects(server: &Server) -> bool {
    let channel =
        Endpoint::from_shared(format!("http://{}", server.address)).unwrap().connect().await.unwrap();
    let mut v1 = pb::v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let ask = pb::v1::ServerReflectionRequest {
        message_request: Some(pb::v1::server_reflection_request::MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let answer = v1.server_reflection_info(tokio_stream::once(ask)).await;
    let mut v1alpha = pb::v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let ask = pb::v1alpha::ServerReflectionRequest {
        message_request: Some(pb::v1alpha::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
        ..Default::default()
    };
    let older = v1alpha.server_reflection_info(tokio_stream::once(ask)).await.is_ok();
    assert_eq!(older, answer.is_ok());
    let Ok(answer) = answer else { return false };
    let told = format!("{:?}", answer.into_inner().message().await.unwrap().unwrap());
    assert!(told.contains("tokenkeep.v1.TokenService") && told.contains("grpc.health.v1.Health"), "{told}");
    true
}
