//! A profile is changed: whoever says that it has applied the change answers by it, wherever the change was made.

use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tokenkeep::proto::v1;

use crate::clients::Client;
use crate::doors::{Asked, Door, open, sidecar_beside};
use crate::harness::{Database, Server};
use crate::sidecars::Sidecar;

/// How long a test waits until a change is everywhere.
const PATIENCE: Duration = Duration::from_secs(10);

/// A profile in a version, which shows in each of its answers.
fn document(version: i32) -> String {
    // Each version grants one scope less than the one before.
    let grants: Vec<String> = (version..=4).map(|number| format!("\"articles:{number}\"")).collect();
    let grants = grants.join(", ");
    format!(
        "name = \"acme\"\nversion = {version}\ntitle = \"Acme\"\ntenancy_noun = \"workspace\"\n\
         rotation_due_after_days = {version}\n\
         [presentation]\nheader = \"authorization\"\nscheme = \"Bearer\"\n\
         [[types]]\ntype = \"read_only\"\nlabel = \"Read-only\"\ngrants = [{grants}]\n\
         [responses]\n\
         missing = {{ status = 401, headers = {{ www-authenticate = \"v{version}\" }}, body = \"\" }}\n\
         invalid = {{ status = 401, headers = {{ www-authenticate = \"v{version}\" }}, body = \"\" }}\n\
         forbidden = {{ status = 403, body = \"\" }}\n"
    )
}

/// A server that has the profile in a version.
async fn server(database: &Database, version: i32) -> (Server, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("acme.toml"), document(version)).unwrap();
    let set = |command: &mut Command| {
        open(command).arg("--profiles").arg(directory.path());
    };
    let server = Server::start_with(database.clone(), |command| {
        set(command);
        command
    });
    (server.await, directory)
}

/// A product behind a server and a sidecar that know its profile in the first version.
struct Scene {
    here: Server,
    operator: Client,
    beside: Client,
    doors: Vec<Door>,
    token: String,
    secret: String,
    _sidecar: Sidecar,
    _directory: TempDir,
}

impl Scene {
    async fn set() -> Self {
        let (here, directory) = server(&Database::fresh().await, 1).await;
        let mut operator = here.operator().await;
        let (id, name, profile) = ("acme".to_owned(), "acme".to_owned(), "acme".to_owned());
        let workspace = Some(v1::Workspace { id, name, profile, ..Default::default() });
        operator
            .workspaces
            .create_workspace(v1::CreateWorkspaceRequest { workspace, ..Default::default() })
            .await
            .unwrap();
        let request = v1::CreateTokenRequest {
            workspace: "acme".to_owned(),
            name: "reader".to_owned(),
            r#type: v1::TokenType::ReadOnly.into(),
            ..Default::default()
        };
        let created = operator.tokens.create_token(request).await.unwrap().into_inner();
        let sidecar = sidecar_beside(&here).await;
        let mut doors = Door::of_server(&here, Some(&here.database.operator_secret)).await.to_vec();
        doors.extend(Door::of_sidecar(&sidecar).await);
        let (token, beside) = (created.token.unwrap().id, sidecar.client().await);
        let secret = created.secret;
        Self { here, operator, beside, doors, token, secret, _sidecar: sidecar, _directory: directory }
    }

    /// Every answer that a profile decides is by this version.
    async fn answers_by(&mut self, version: i32) {
        let asked = Asked { profile: "acme", ..Asked::default() };
        for door in &self.doors {
            let (_, headers, _) = door.ask(&asked).await.denied();
            assert_eq!(headers["www-authenticate"], format!("v{version}"), "{}", door.name);
        }
        let scopes: Vec<String> = (version..=4).map(|number| format!("articles:{number}")).collect();
        for client in [&mut self.operator, &mut self.beside] {
            assert_eq!(client.introspect(&self.secret).await.unwrap().scope, scopes.join(" "));
        }
        let token = self.operator.get_token(&self.token).await.unwrap();
        assert_eq!(rotation_due(&token), days(version));
        let list = v1::ListTokensRequest { workspace: "acme".to_owned(), ..Default::default() };
        let listed = self.operator.tokens.list_tokens(list).await.unwrap().into_inner().tokens;
        assert_eq!(rotation_due(&listed[0]), days(version));
    }
}

fn days(count: i32) -> Duration {
    Duration::from_hours(24) * u32::try_from(count).unwrap()
}

/// How long after its secret was issued a token is due for another.
fn rotation_due(token: &v1::Token) -> Duration {
    let time = |time: Option<prost_types::Timestamp>| SystemTime::try_from(time.unwrap()).unwrap();
    time(token.rotation_due_time).duration_since(time(token.create_time)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_applied_the_change_of_a_profile_answers_by_it() {
    let mut scene = Scene::set().await;
    let database = scene.here.database.clone();
    let mut newer = Vec::new();
    for version in 1..=3 {
        // Twice, so that the second time it is remembered.
        for _ in 0..2 {
            scene.answers_by(version).await;
        }
        newer.push(server(&database, version + 1).await);
        let changed = database.head().await;
        assert!(scene.operator.wait_for_revision(changed, PATIENCE).await.unwrap());
    }
    scene.answers_by(4).await;
}
