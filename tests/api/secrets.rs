//! No secret leaves the one answer that shows it: everything that a token's life leaves behind is scanned for it.

use std::fs;
use std::process::Command;

use tokenkeep::proto::v1;
use tonic::Code;
use tonic::metadata::MetadataValue;
use uuid::Uuid;

use crate::calls::Call;
use crate::clients::{Client, refusal, refused};
use crate::harness::{Database, Run, Server, http_get};
use crate::scanner::Scanner;

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_left_anywhere_by_a_whole_life_at_the_most_talkative() {
    let mut scanner = Scanner::default();
    let database = Database::fresh().await;
    let server = Server::start_with(database.clone(), |command| {
        command.args(["--log", "trace", "--last-use-interval", "100ms"])
    })
    .await;
    scanner.add_token("the operator's token", &database.operator_secret);
    scanner.add_key("the server key", &fs::read_to_string(database.keyring.join("01.key")).unwrap());
    live(&server, &mut scanner).await;

    let places = places(&server).await;
    for (place, text) in &places {
        assert!(!text.is_empty(), "{place} is empty, so that nothing was shown");
        assert_eq!(scanner.scan(text), Vec::<&str>::new(), "found in {place}");
    }
    let log = server.log();
    for told in ["a request was refused", "a request failed", "a request could not be decided"] {
        assert!(log.contains(told), "the log is not at its most talkative: {log}");
    }
    let (_, postgres_log) = &places[2];
    let postgres_log = String::from_utf8_lossy(postgres_log);
    assert!(postgres_log.contains("argon2id"), "the statements' parameters are in PostgreSQL's log");
}

/// Whoever has the id of a request may be shown the secret that it made.
#[tokio::test(flavor = "multi_thread")]
async fn neither_the_id_of_a_request_nor_what_it_made_is_left_anywhere() {
    let mut scanner = Scanner::default();
    let server =
        Server::start_with(Database::fresh().await, |command| command.args(["--log", "trace"])).await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let mut ids = Vec::new();
    let mut request_id = || {
        ids.push(Uuid::new_v4());
        ids[ids.len() - 1].to_string()
    };
    let (workspace, name) = ("acme".to_owned(), "once".to_owned());
    let creation = v1::CreateTokenRequest { workspace, name, request_id: request_id(), ..Default::default() };
    let first = operator.tokens.create_token(creation.clone()).await.unwrap().into_inner();
    let (id, etag) = (first.token.unwrap().id, "*".to_owned());
    let request_id_of_second = request_id();
    let regeneration = v1::RegenerateTokenRequest {
        id: id.clone(),
        etag,
        request_id: request_id_of_second,
        ..Default::default()
    };
    let second = operator.tokens.regenerate_token(regeneration.clone()).await.unwrap().into_inner();
    let again = operator.tokens.regenerate_token(regeneration).await.unwrap().into_inner();
    assert_eq!(second.secret, again.secret);
    // In all ways to end: replaced meanwhile, used for something else, refused, and done.
    operator.tokens.create_token(creation.clone()).await.unwrap_err();
    operator
        .tokens
        .create_token(v1::CreateTokenRequest { name: "twice".to_owned(), ..creation })
        .await
        .unwrap_err();
    let stale = v1::RevokeTokenRequest {
        id: id.clone(),
        etag: "stale".to_owned(),
        request_id: request_id(),
        ..Default::default()
    };
    operator.tokens.revoke_token(stale).await.unwrap_err();
    let revocation = v1::RevokeTokenRequest { id, request_id: request_id(), ..Default::default() };
    operator.tokens.revoke_token(revocation).await.unwrap();
    scanner.add_token("the first secret", &first.secret);
    scanner.add_token("the second secret", &second.secret);
    for id in ids {
        scanner.add_id("the id of a request", id);
    }
    for (place, text) in places(&server).await {
        assert_eq!(scanner.scan(&text), Vec::<&str>::new(), "found in {place}");
    }
}

/// Every step of a token's life, and every way in which a request can fail; adds each secret to the scanner.
async fn live(server: &Server, scanner: &mut Scanner) {
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let (_, caller) = operator.create_token("acme", "caller", &["tokenkeep:*"]).await;
    scanner.add_token("a caller's token", &caller);
    let mut caller = server.client(&caller).await;
    let mut stream = caller.watch("acme", "").await.unwrap();
    let (token, first) = caller.create_token("acme", "watched", &["a"]).await;
    scanner.add_token("the first secret", &first);
    assert!(caller.introspect(&first).await.unwrap().active);
    let answer = caller.regenerate(&token.id, &token.etag).await.unwrap();
    scanner.add_token("the second secret", &answer.secret);
    assert!(caller.introspect(&answer.secret).await.unwrap().active);
    assert!(!caller.introspect(&first).await.unwrap().active);
    Box::pin(misplace(server, &caller, &answer.secret)).await;
    fail(server, &mut caller, scanner).await;
    caller.revoke(&token.id).await.unwrap();
    assert!(!caller.introspect(&answer.secret).await.unwrap().active);
    for _ in 0..3 {
        stream.message().await.unwrap().unwrap();
    }
}

/// A live secret where it does not belong: in every field that is refused, and in a credential in several wrong ways.
async fn misplace(server: &Server, caller: &Client, secret: &str) {
    let text = || secret.to_owned();
    let mut altered = text();
    altered.replace_range(altered.len() - 20..altered.len() - 19, "-");
    let wrong = vec![
        Call::GetToken(v1::GetTokenRequest { id: text() }),
        Call::GetWorkspace(v1::GetWorkspaceRequest { id: text() }),
        Call::RevokeToken(v1::RevokeTokenRequest { id: text(), ..Default::default() }),
        Call::RegenerateToken(v1::RegenerateTokenRequest { id: text(), etag: text(), ..Default::default() }),
        Call::ListTokens(v1::ListTokensRequest {
            workspace: text(),
            page_token: text(),
            ..Default::default()
        }),
        Call::WatchRevocations(v1::WatchRevocationsRequest { workspace: text(), cursor: text() }),
        Call::WatchRevocations(v1::WatchRevocationsRequest { cursor: text(), ..Default::default() }),
        Call::IntrospectToken(v1::IntrospectTokenRequest {
            token: text(),
            workspace: text(),
            required_scopes: vec![format!("{secret} ")],
            ..Default::default()
        }),
        Call::CreateToken(v1::CreateTokenRequest {
            workspace: text(),
            name: format!("{secret}\n"),
            scopes: vec![format!("*{secret}")],
            metadata: [(text(), text())].into(),
            ..Default::default()
        }),
    ];
    for call in wrong {
        let status = call.by(caller).await.unwrap_err();
        assert!(!format!("{status:?}").contains(secret), "the caller is told the secret again: {status:?}");
    }
    for credential in [secret, &altered, &secret[1..], &format!("{secret} {secret}")] {
        let call = Call::ListWorkspaces(v1::ListWorkspacesRequest::default());
        call.by(&server.client(credential).await).await.unwrap_err();
    }
    let mut bare = tonic::Request::new(v1::ListWorkspacesRequest::default());
    bare.metadata_mut().insert("authorization", MetadataValue::try_from(secret).unwrap());
    server.anonymous().await.workspaces.list_workspaces(bare).await.unwrap_err();
    assert!(!server.operator().await.introspect(&altered).await.unwrap().active);
}

/// Failures of ours: a lock that is not to be had, a statement that the database refuses, a row that makes no sense.
async fn fail(server: &Server, caller: &mut Client, scanner: &mut Scanner) {
    let (token, secret) = caller.create_token("acme", "unlucky", &[]).await;
    scanner.add_token("the secret of a token that meets failures", &secret);
    let database = server.database.connect().await;
    database.batch_execute("BEGIN; SELECT FROM tokens FOR UPDATE").await.unwrap();
    let status = caller.regenerate(&token.id, "*").await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::Unavailable, "DATABASE_UNAVAILABLE"));
    database.batch_execute("ROLLBACK").await.unwrap();

    let forbid = "ALTER TABLE tokens ADD CONSTRAINT forbidden CHECK (name <> 'unlucky' OR generation = 1)";
    database.batch_execute(forbid).await.unwrap();
    let status = caller.regenerate(&token.id, "*").await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::Internal, "INTERNAL"));
    assert_eq!(status.message(), "internal error");
    let spoil = "UPDATE tokens SET secret_hash = '$argon2id$spoilt' WHERE name = 'unlucky'";
    database.batch_execute(spoil).await.unwrap();
    let status = caller.introspect(&secret).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::Internal, "INTERNAL"));
}

/// Everything that outlives a request, by name.
async fn places(server: &Server) -> Vec<(&'static str, Vec<u8>)> {
    let run = Run::get();
    let process = format!("/proc/{}", server.process.id());
    let activity = "SELECT string_agg(query, chr(10)) FROM pg_stat_activity";
    let activity = server.database.connect().await.query_one(activity, &[]).await.unwrap();
    vec![
        ("the server's log", server.log().into_bytes()),
        ("/metrics", http_get(server.operations, "/metrics").await.1.into_bytes()),
        ("PostgreSQL's log", fs::read(run.cluster().log_file()).unwrap()),
        ("the database", dump(&server.database).await),
        ("what pg_dump writes", pg_dump(run, &server.database)),
        ("the arguments", fs::read(format!("{process}/cmdline")).unwrap()),
        // Only root may read the environment of a process that allows no core dumps.
        ("the environment", fs::read(format!("{process}/environ")).unwrap_or_else(|_| b"closed".to_vec())),
        ("what PostgreSQL says it does", activity.get::<_, String>(0).into_bytes()),
    ]
}

/// A whole dump, where the PostgreSQL at hand has the program for it; builds that are fetched may not.
fn pg_dump(run: &Run, database: &Database) -> Vec<u8> {
    let program = run.cluster().binaries().directory().join("pg_dump");
    if !program.is_file() {
        return Vec::new();
    }
    let dumped = Command::new(program).arg("--dbname").arg(&database.url).output().unwrap();
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    assert!(String::from_utf8_lossy(&dumped.stdout).contains("argon2id"), "the dump is whole");
    dumped.stdout
}

/// Every row of every table of ours, as text.
async fn dump(database: &Database) -> Vec<u8> {
    let client = database.connect().await;
    let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'";
    let mut dump = String::new();
    for table in client.query(tables, &[]).await.unwrap() {
        let table: String = table.get(0);
        let rows = client.query(&format!("SELECT row_to_json(t)::text FROM \"{table}\" t"), &[]).await;
        rows.unwrap().iter().for_each(|row| dump.push_str(&(row.get::<_, String>(0) + "\n")));
    }
    assert!(dump.contains("argon2id") && dump.contains("secret_replaced"), "the dump is whole");
    dump.into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scan_finds_a_secret_in_each_of_its_forms() {
    let database = Database::fresh().await;
    let (mut scanner, token) = (Scanner::default(), &database.operator_secret);
    scanner.add_token("it", token);
    let bytes = *tokenkeep::token::Presented::parse(token).unwrap().secret.expose();
    let part = &token[token.len() - 40..token.len() - 28];
    for (text, found) in [
        (token.clone().into_bytes(), "the whole of it"),
        (format!("x{part}x").into_bytes(), "a part of it"),
        ([b"x".as_slice(), &bytes, b"x"].concat(), "the raw bytes of it"),
        (format!("{bytes:02x?}").replace(", ", "").into_bytes(), "hexadecimal of it"),
        (format!("Secret({bytes:?})").into_bytes(), "a list of numbers of it"),
    ] {
        assert!(scanner.scan(&text).contains(&found), "{found} is overlooked");
    }
    assert_eq!(scanner.scan(format!("{}{}", &token[..20], &part[1..]).as_bytes()), Vec::<&str>::new());
}
