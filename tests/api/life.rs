//! A token's life: what each step leaves behind, and what it ends.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use prost_types::FieldMask;
use tokenkeep::proto::v1;
use tonic::Code;

use crate::clients::{Client, refusal, refused};
use crate::harness::{Server, eventually};

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    (server, operator)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_created_is_what_is_read() {
    let (_server, mut operator) = server().await;
    operator.create_principal("acme", "api_access@service", &["*"]).await;
    let request = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "api-production".to_owned(),
        description: "line one\nline two".to_owned(),
        principal: "api_access@service".to_owned(),
        initiator: "mia@example.com".to_owned(),
        scopes: vec!["b:*".to_owned(), "a".to_owned(), "a".to_owned()],
        metadata: BTreeMap::from([("team".to_owned(), "red".to_owned())]),
        expiration: Some(v1::create_token_request::Expiration::Lifetime(prost_types::Duration {
            seconds: 30 * 86_400,
            nanos: 0,
        })),
        ..Default::default()
    };
    let created = operator.tokens.create_token(request).await.unwrap().into_inner();
    let token = created.token.unwrap();
    assert_eq!(token, operator.get_token(&token.id).await.unwrap());
    assert_eq!((token.name.as_str(), token.principal.as_str()), ("api-production", "api_access@service"));
    assert_eq!(token.creator, "mia@example.com");
    assert_eq!(token.scopes, ["a", "b:*"]);
    assert_eq!(token.metadata["team"], "red");
    assert_eq!((token.state(), token.generation, token.revision), (v1::TokenState::Active, 1, 0));
    let (created_at, expires_at) = (token.create_time.unwrap(), token.expire_time.unwrap());
    assert_eq!(expires_at.seconds - created_at.seconds, 30 * 86_400);
    assert_eq!(token.last_use_time, None);
    let (secret, obfuscated) = (created.secret, token.obfuscated_secret);
    assert_eq!(obfuscated, format!("tk_...{}", &secret[secret.len() - 4..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_initiator_the_callers_token_is_the_creator() {
    let (server, mut operator) = server().await;
    let (clerk, secret) = operator.create_token("acme", "clerk", &["tokenkeep:tokens:create"]).await;
    let (token, _) = server.client(&secret).await.create_token("acme", "made by clerk", &[]).await;
    assert_eq!(token.creator, clerk.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_introspection_tells_what_rfc_7662_names() {
    let (_server, mut operator) = server().await;
    operator.create_principal("acme", "mia", &["*"]).await;
    let request = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "reader".to_owned(),
        principal: "mia".to_owned(),
        scopes: vec!["articles:find".to_owned(), "articles:findOne".to_owned()],
        metadata: BTreeMap::from([("team".to_owned(), "red".to_owned())]),
        ..Default::default()
    };
    let created = operator.tokens.create_token(request).await.unwrap().into_inner();
    let token = created.token.unwrap();
    let ask = v1::IntrospectTokenRequest {
        token: created.secret,
        workspace: "acme".to_owned(),
        required_scopes: vec!["articles:find".to_owned()],
        include_metadata: true,
        ..Default::default()
    };
    let told = operator.tokens.introspect_token(ask.clone()).await.unwrap().into_inner();
    assert!(told.active);
    assert_eq!(told.decision(), v1::Decision::Allow);
    assert_eq!(told.scope, "articles:find articles:findOne");
    assert_eq!((told.token_type.as_str(), told.sub.as_str()), ("Bearer", "mia"));
    assert_eq!((told.jti, told.iat), (token.id, Some(token.create_time.unwrap().seconds)));
    assert_eq!((told.exp, told.generation, told.revision), (None, 1, 0));
    assert_eq!(told.cache_lifetime, Some(prost_types::Duration::default()));
    assert_eq!(told.metadata["team"], "red");

    let ask = v1::IntrospectTokenRequest { include_metadata: false, ..ask };
    let ask = v1::IntrospectTokenRequest { required_scopes: vec!["articles:delete".to_owned()], ..ask };
    let told = operator.tokens.introspect_token(ask).await.unwrap().into_inner();
    assert!(told.active && told.metadata.is_empty());
    assert_eq!(told.decision(), v1::Decision::DenyScope);
    assert_eq!(told.missing_scopes, ["articles:delete"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_dead_at_once_and_for_good() {
    let (server, mut operator) = server().await;
    let head = server.database.head().await;
    let (token, secret) = operator.create_token("acme", "doomed", &[]).await;
    assert!(operator.introspect(&secret).await.unwrap().active);
    let request = v1::RevokeTokenRequest {
        id: token.id.clone(),
        reason: "leaked".to_owned(),
        initiator: "mia".to_owned(),
        etag: token.etag,
        ..Default::default()
    };
    let revoked = operator.tokens.revoke_token(request).await.unwrap().into_inner().token.unwrap();
    assert_eq!((revoked.state(), revoked.revoke_reason.as_str()), (v1::TokenState::Revoked, "leaked"));
    assert_eq!(revoked.revision, head + 1);
    let told = operator.introspect(&secret).await.unwrap();
    assert!(!told.active && told.jti.is_empty());
    assert_eq!(told.inactive_reason(), v1::InactiveReason::Revoked);

    // Again, with whatever etag: the same answer, and no second revision.
    let again =
        v1::RevokeTokenRequest { id: token.id.clone(), etag: "stale".to_owned(), ..Default::default() };
    let again = operator.tokens.revoke_token(again).await.unwrap().into_inner().token.unwrap();
    assert_eq!(again, revoked);
    let refused_as_revoked = refused(Code::FailedPrecondition, "TOKEN_REVOKED");
    assert_eq!(refusal(&operator.regenerate(&token.id, "*").await.unwrap_err()), refused_as_revoked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_regenerated_token_keeps_everything_but_its_secret() {
    let (server, mut operator) = server().await;
    let revision = server.database.head().await + 1;
    let (token, old) = operator.create_token("acme", "ci", &["a"]).await;
    let answer = operator.regenerate(&token.id, &token.etag).await.unwrap();
    let (new, regenerated) = (answer.secret, answer.token.unwrap());
    assert_eq!((regenerated.generation, regenerated.revision), (2, revision));
    assert_ne!(regenerated.etag, token.etag);
    let told = operator.introspect(&old).await.unwrap();
    assert_eq!((told.active, told.inactive_reason()), (false, v1::InactiveReason::Superseded));
    assert!(operator.introspect(&new).await.unwrap().active);
    let expected = v1::Token {
        generation: 2,
        revision,
        etag: regenerated.etag.clone(),
        obfuscated_secret: regenerated.obfuscated_secret.clone(),
        update_time: regenerated.update_time,
        last_use_time: regenerated.last_use_time,
        ..token
    };
    assert_eq!(regenerated, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_regenerates_at_once_one_secret_lives_and_the_others_are_told() {
    let (_server, mut operator) = server().await;
    for etag in ["as read", "*"] {
        let (token, _) = operator.create_token("acme", "contended", &[]).await;
        let etag = if etag == "*" { etag.to_owned() } else { token.etag.clone() };
        let calls = (0..8).map(|_| {
            let (mut caller, id, etag) = (operator.clone(), token.id.clone(), etag.clone());
            tokio::spawn(async move { caller.regenerate(&id, &etag).await })
        });
        let mut secrets = Vec::new();
        for call in calls.collect::<Vec<_>>() {
            match call.await.unwrap() {
                Ok(answer) => secrets.push((answer.token.unwrap().generation, answer.secret)),
                Err(status) => assert_eq!(refusal(&status), refused(Code::Aborted, "ETAG_MISMATCH")),
            }
        }
        secrets.sort();
        if etag != "*" {
            assert_eq!(secrets.len(), 1);
        }
        let (_, newest) = secrets.pop().unwrap();
        assert!(operator.introspect(&newest).await.unwrap().active);
        for (_, older) in secrets {
            assert!(!operator.introspect(&older).await.unwrap().active);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_changes_what_the_mask_names_and_nothing_else() {
    let (server, mut operator) = server().await;
    let head = server.database.head().await;
    let (token, secret) = operator.create_token("acme", "before", &["a", "b"]).await;
    let edited = v1::Token { name: "after".to_owned(), scopes: vec!["a".to_owned()], ..token.clone() };
    let update = |token: v1::Token, paths: &[&str]| v1::UpdateTokenRequest {
        token: Some(token),
        update_mask: Some(FieldMask { paths: paths.iter().map(ToString::to_string).collect() }),
        initiator: String::new(),
        ..Default::default()
    };
    let answer =
        operator.tokens.update_token(update(edited.clone(), &["scopes"])).await.unwrap().into_inner();
    let after = answer.token.unwrap();
    assert_eq!((after.name.as_str(), after.scopes.len(), after.revision), ("before", 1, head + 1));
    assert_eq!(operator.introspect(&secret).await.unwrap().scope, "a");

    let stale = operator.tokens.update_token(update(edited.clone(), &["name"])).await.unwrap_err();
    assert_eq!(refusal(&stale), refused(Code::Aborted, "ETAG_MISMATCH"));
    let fresh = v1::Token { etag: after.etag.clone(), ..edited };
    let answer = operator.tokens.update_token(update(fresh, &["name"])).await.unwrap().into_inner();
    assert_eq!(answer.token.as_ref().unwrap().name, "after");

    // What changes nothing takes no revision; `*` empties what is not set.
    let same = v1::Token { etag: String::new(), ..answer.token.unwrap() };
    let answer = operator.tokens.update_token(update(same.clone(), &["*"])).await.unwrap().into_inner();
    assert_eq!(answer.token.unwrap().revision, head + 2);
    let bare = v1::Token { id: same.id, name: "bare".to_owned(), ..Default::default() };
    let answer =
        operator.tokens.update_token(update(bare, &["*"])).await.unwrap().into_inner().token.unwrap();
    assert_eq!((answer.scopes.len(), answer.revision), (0, head + 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_inactive_until_its_expiry_is_renewed() {
    let (_server, mut operator) = server().await;
    let request = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "short".to_owned(),
        expiration: Some(v1::create_token_request::Expiration::Lifetime(prost_types::Duration {
            seconds: 1,
            nanos: 0,
        })),
        ..Default::default()
    };
    let created = operator.tokens.create_token(request).await.unwrap().into_inner();
    let token = created.token.unwrap();
    assert!(operator.introspect(&created.secret).await.unwrap().active);
    eventually("the token expires", || {
        let (mut operator, secret) = (operator.clone(), created.secret.clone());
        async move { operator.introspect(&secret).await.unwrap().inactive_reason() == v1::InactiveReason::Expired }
    })
    .await;
    assert_eq!(operator.get_token(&token.id).await.unwrap().state(), v1::TokenState::Expired);
    let status = operator.regenerate(&token.id, "*").await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::FailedPrecondition, "TOKEN_EXPIRED"));

    let renewed = v1::RegenerateTokenRequest {
        id: token.id,
        etag: token.etag,
        initiator: String::new(),
        expiration: Some(v1::regenerate_token_request::Expiration::ExpireTime(
            (SystemTime::now() + Duration::from_hours(1)).into(),
        )),
        ..Default::default()
    };
    let renewed = operator.tokens.regenerate_token(renewed).await.unwrap().into_inner();
    assert_eq!(renewed.token.unwrap().state(), v1::TokenState::Active);
    assert!(operator.introspect(&renewed.secret).await.unwrap().active);
}

#[tokio::test(flavor = "multi_thread")]
async fn argon2_proves_a_secret_once_and_a_forged_or_replaced_one_never_reaches_it() {
    let (server, mut operator) = server().await;
    let (token, old) = operator.create_token("acme", "ci", &[]).await;
    let new = operator.regenerate(&token.id, &token.etag).await.unwrap().secret;
    let runs = "tokenkeep_argon2_runs_total{purpose=\"verify\"}";
    let reads = "tokenkeep_credential_reads_total";
    operator.introspect(&new).await.unwrap();
    let (runs_before, reads_before) = (server.metric(runs).await, server.metric(reads).await);
    for _ in 0..10 {
        assert!(operator.introspect(&new).await.unwrap().active);
        assert!(!operator.introspect(&old).await.unwrap().active);
    }
    assert_eq!(server.metric(runs).await, runs_before);
    // Only for the old secret, of which the cache knows nothing.
    assert_eq!(server.metric(reads).await, reads_before + 10.0);

    let forged = forge(&new);
    let reads_before = server.metric(reads).await;
    for _ in 0..10 {
        let told = operator.introspect(&forged).await.unwrap();
        assert_eq!((told.active, told.inactive_reason()), (false, v1::InactiveReason::Forged));
    }
    assert_eq!(server.metric(runs).await, runs_before);
    assert_eq!(server.metric(reads).await, reads_before);
}

/// The same token with another secret and a checksum that is right: what somebody could make who knows the format and
/// an id, but no key.
pub fn forge(secret: &str) -> String {
    let position = secret.rfind('_').unwrap() + 30;
    let other = if &secret[position..=position] == "0" { "1" } else { "0" };
    let mut forged = secret[..secret.len() - 6].to_owned();
    forged.replace_range(position..=position, other);
    let mut crc = u64::from(crc32fast::hash(forged.as_bytes()));
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = Vec::new();
    for _ in 0..6 {
        text.push(digits[(crc % 62) as usize]);
        crc /= 62;
    }
    text.reverse();
    forged + &String::from_utf8(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_use_appears_on_the_token() {
    let server = Server::start_with(crate::harness::Database::fresh().await, |command| {
        command.args(["--last-use-interval", "100ms"])
    })
    .await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let (token, secret) = operator.create_token("acme", "used", &[]).await;
    assert_eq!(operator.get_token(&token.id).await.unwrap().last_use_time, None);
    operator.introspect(&secret).await.unwrap();
    eventually("the last use is written", || {
        let (mut operator, id) = (operator.clone(), token.id.clone());
        async move { operator.get_token(&id).await.unwrap().last_use_time.is_some() }
    })
    .await;
    let used = operator.get_token(&token.id).await.unwrap();
    assert_eq!((used.etag, used.revision), (token.etag, 0), "use changes no etag");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_has_its_own_prefix_and_old_secrets_keep_theirs() {
    let (_server, mut operator) = server().await;
    let (_, before) = operator.create_token("acme", "before", &[]).await;
    assert!(before.starts_with("tk_"));
    let workspace =
        v1::Workspace { id: "acme".to_owned(), token_prefix: "sk_live".to_owned(), ..Default::default() };
    let request =
        v1::UpdateWorkspaceRequest { workspace: Some(workspace), update_mask: None, ..Default::default() };
    let updated =
        operator.workspaces.update_workspace(request).await.unwrap().into_inner().workspace.unwrap();
    assert_eq!((updated.name.as_str(), updated.token_prefix.as_str()), ("acme", "sk_live"));
    let (_, after) = operator.create_token("acme", "after", &[]).await;
    assert!(after.starts_with("sk_live_") && after.len() == 92);
    assert!(operator.introspect(&before).await.unwrap().active);
    assert!(operator.introspect(&after).await.unwrap().active);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_in_order_has_written_the_latest_uses() {
    let (mut server, mut operator) = server().await;
    let (_, secret) = operator.create_token("acme", "used", &[]).await;
    operator.introspect(&secret).await.unwrap();
    let database = server.database.connect().await;
    let query =
        "SELECT count(last_use_time) FROM token_last_uses JOIN tokens ON id = token WHERE name = 'used'";
    let written: i64 = database.query_one(query, &[]).await.unwrap().get(0);
    assert_eq!(written, 0, "not before its time");
    server.signal("TERM");
    server.wait(Duration::from_secs(20)).await;
    let written: i64 = database.query_one(query, &[]).await.unwrap().get(0);
    assert_eq!(written, 1);
}
