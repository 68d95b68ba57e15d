//! What the database says at one moment.

use std::time::SystemTime;

use tokio_postgres::{Client, Row};

use crate::history::{Change, LogRow, PrincipalRow, TokenRow, WorkspaceRow};
use crate::moment::Moment;
use crate::world::World;

pub struct Tables {
    pub log: Vec<LogRow>,
    pub tokens: Vec<TokenRow>,
    pub principals: Vec<PrincipalRow>,
    pub workspaces: Vec<WorkspaceRow>,
}

const LOG: &str = "
    SELECT revision, kind, coalesce(workspace, ''), coalesce(token::text, principal, profile, kid, ''),
           coalesce(generation, 0), initiator, overlap_end_time, tokens::text[],
           (SELECT array_agg(tokens.id::text ORDER BY tokens.id) FROM bulk_revocations bulk
            JOIN tokens ON bulk_revocation = bulk.id WHERE bulk.revision = revisions.revision)
    FROM revisions ORDER BY revision";

const TOKENS: &str = "
    SELECT tokens.id::text, generation, revoke_time IS NOT NULL, coalesce(bulk.revision, tokens.revision), principal,
           tokens.epoch, suspend_time IS NOT NULL OR tokens.epoch < workspaces.epoch
               OR coalesce(disabled OR delete_time IS NOT NULL, false),
           greatest(coalesce(bulk.revision, tokens.revision), workspaces.revision, principals.revision), tokens.name,
           (SELECT generation FROM previous_secrets
            WHERE token = tokens.id AND expire_time > statement_timestamp()),
           (SELECT use_count FROM token_last_uses WHERE token = tokens.id)
    FROM tokens LEFT JOIN bulk_revocations bulk ON bulk.id = bulk_revocation JOIN workspaces ON workspaces.id = tokens.workspace
    LEFT JOIN principals ON principals.workspace = tokens.workspace AND principals.id = principal";

const PRINCIPALS: &str = "
    SELECT id, revision, 'needed' = ANY (scopes), disabled, delete_time IS NOT NULL,
           (SELECT substr(scope, 6) FROM unnest(scopes) scope WHERE scope LIKE 'held:%')
    FROM principals";

/// As the primary has them: a change whose caller gave up may be made still.
pub async fn tables(world: &World) -> Tables {
    let client = world.ground.postgres.lock().await.primary.connect_patiently(&world.database).await;
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.unwrap();
    Tables {
        log: rows(&client, LOG, logged).await,
        tokens: rows(&client, TOKENS, token).await,
        principals: rows(&client, PRINCIPALS, principal).await,
        workspaces: rows(&client, "SELECT id, epoch, revision FROM workspaces", workspace).await,
    }
}

async fn rows<Item>(client: &Client, query: &str, read: fn(&Row) -> Item) -> Vec<Item> {
    client.query(query, &[]).await.unwrap().iter().map(read).collect()
}

fn logged(row: &Row) -> LogRow {
    let change = change(row.get(1));
    let is_marked =
        matches!(change, Change::PrincipalChanged | Change::WorkspaceInvalidated | Change::GroupRevoked);
    let sorted = |mut tokens: Vec<String>| {
        tokens.sort_unstable();
        tokens
    };
    LogRow {
        revision: row.get(0),
        change,
        workspace: row.get(2),
        subject: row.get(3),
        generation: row.get(4),
        mark: row.get::<_, &str>(5).parse().ok().filter(|_| is_marked),
        overlap_end: row.get::<_, Option<SystemTime>>(6).map(Moment::of),
        listed: row.get::<_, Option<Vec<String>>>(7).map(sorted),
        ended: row.get::<_, Option<Vec<String>>>(8).unwrap_or_default(),
    }
}

fn change(kind: &str) -> Change {
    match kind {
        "revoked" => Change::Revoked,
        "secret_replaced" => Change::SecretReplaced,
        "suspended" => Change::Suspended,
        "resumed" => Change::Resumed,
        "bulk_revoked" => Change::GroupRevoked,
        "updated" => Change::Updated(0),
        "principal_changed" => Change::PrincipalChanged,
        "workspace_invalidated" => Change::WorkspaceInvalidated,
        "profile_updated" => Change::ProfileUpdated,
        other => panic!("the log has a {other}"),
    }
}

fn token(row: &Row) -> TokenRow {
    TokenRow {
        token: row.get(0),
        generation: row.get(1),
        revoked: row.get(2),
        revision: row.get(3),
        principal: row.get(4),
        epoch: row.get(5),
        held_back: row.get(6),
        told: row.get(7),
        name: row.get(8),
        previous: row.get(9),
        uses: row.get::<_, Option<i64>>(10).unwrap_or_default(),
    }
}

fn principal(row: &Row) -> PrincipalRow {
    PrincipalRow {
        principal: row.get(0),
        revision: row.get(1),
        wide: row.get(2),
        disabled: row.get(3),
        deleted: row.get(4),
        held: row.get::<_, Option<&str>>(5).and_then(|held| held.parse().ok()).unwrap_or_default(),
    }
}

fn workspace(row: &Row) -> WorkspaceRow {
    WorkspaceRow { workspace: row.get(0), epoch: row.get(1), revision: row.get(2) }
}
