//! Tokens that are not yet there: what is to be kept of them, and how they are added, many in one statement.

use diesel::prelude::*;
use diesel::sql_types::{
    Array, BigInt, Binary, Bool, Int4, Interval, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};

use super::connection::Connection;
use super::error::{StoreError, understood};
use super::expiry::{lifetime, moment};
use super::statement::statement;
use super::token_row::{TokenRow, not_of_retired_key, token_type_column};
use super::tokens::metadata_column;
use crate::hash::SecretHash;
use crate::profile::TokenType;
use crate::text::{Description, Initiator, Metadata, Name, PrincipalId};
use crate::token::{Audiences, Cidrs, Expiry, ExternalId, Generation, Kid, ScopeSet, Tag, Token, TokenId};
use crate::workspace::WorkspaceId;

/// What is kept of a new secret.
#[derive(Debug, Clone)]
pub struct NewSecret {
    /// The key it was issued under.
    pub kid: Kid,
    /// The tag it carries.
    pub tag: Tag,
    /// What proves it.
    pub hash: SecretHash,
    /// What people recognise it by, 1 to 32 characters.
    pub obfuscated: String,
}

/// A token that is not yet there.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// The id, which is in the secret already.
    pub id: TokenId,
    /// The workspace, which must be there.
    pub workspace: WorkspaceId,
    /// What people call it.
    pub name: Name,
    /// What it is for.
    pub description: Description,
    /// Who it acts for.
    pub principal: Option<PrincipalId>,
    /// On whose behalf it is created.
    pub creator: Initiator,
    /// What kind of power it has.
    pub token_type: TokenType,
    /// What it may do.
    pub scopes: ScopeSet,
    /// Where it may be presented.
    pub audiences: Audiences,
    /// From where it may be used.
    pub allowed_cidrs: Cidrs,
    /// The number that the product names it by.
    pub external_id: Option<ExternalId>,
    /// The caller's own labels.
    pub metadata: Metadata,
    /// When it will expire.
    pub expiry: Expiry,
    /// Its first secret.
    pub secret: NewSecret,
}

/// Lists come as one text each, since arrays of PostgreSQL are rectangular; no word of them holds a space. Of a workspace
/// that is not there the epoch is the first, so that it is missed for what it is. What is new has no uses, was issued in the
/// present epoch and did not end with others, so that less is to be looked up than of a token that is found.
///
/// That the ids stand in a `SELECT` of their own hides from the planner how many they are: it would else plan each execution
/// anew, which takes longer than to insert a row.
const INSERT: &str = "\
    INSERT INTO tokens \
    (id, workspace, name, description, principal, principal_kind, creator, type, scopes, audiences, allowed_cidrs, \
    external_id, epoch, metadata, expire_time, generation, kid, tag, secret_hash, obfuscated_secret) \
    SELECT id, workspace, name, description, principal, \
    (SELECT kind FROM principals WHERE principals.workspace = new.workspace AND principals.id = new.principal), \
    creator, type, string_to_array(scopes, ' '), string_to_array(audiences, ' '), string_to_array(allowed_cidrs, ' '), \
    external_id, coalesce((SELECT epoch FROM workspaces WHERE workspaces.id = new.workspace), 0), \
    metadata, coalesce(moment, statement_timestamp() + lifetime), $19, kid, tag, secret_hash, obfuscated_secret \
    FROM unnest((SELECT $1::uuid[]), $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], \
    $9::text[], $10::text[], $11::bigint[], $12::jsonb[], $13::timestamptz[], $14::interval[], $15::text[], $16::bytea[], \
    $17::text[], $18::text[]) \
    AS new (id, workspace, name, description, principal, creator, type, scopes, audiences, allowed_cidrs, external_id, \
    metadata, moment, lifetime, kid, tag, secret_hash, obfuscated_secret) \
    WHERE moment IS NULL OR moment > statement_timestamp() \
    RETURNING id, workspace, name, description, principal, creator, scopes, metadata, expire_time, create_time, \
    update_time, revoke_time, revoke_reason, generation, obfuscated_secret, revision, type AS token_type, audiences, \
    allowed_cidrs, external_id, secret_time, suspend_time, suspend_reason, statement_timestamp() AS read_time, kid, \
    EXISTS (SELECT FROM server_keys WHERE server_keys.kid = tokens.kid AND state = 'retired') AS is_of_retired_key, \
    (SELECT profile FROM workspaces WHERE workspaces.id = tokens.workspace) AS profile";

#[derive(QueryableByName)]
struct BesideRow {
    #[diesel(sql_type = Text)]
    kid: String,
    #[diesel(sql_type = Bool)]
    is_of_retired_key: bool,
    #[diesel(sql_type = Nullable<Text>)]
    profile: Option<String>,
}

/// Adds a token; `None` if it was to expire at a moment that has passed, and nothing is written then.
///
/// # Errors
/// As [`insert_all`].
pub async fn insert(connection: &mut Connection, token: NewToken) -> Result<Option<Token>, StoreError> {
    Ok(insert_all(connection, vec![token]).await?.pop())
}

/// Adds tokens, but those that were to expire at a moment that has passed; gives those it has added, in any order.
///
/// # Errors
/// [`StoreError::Conflict`] if a workspace is not there or an id is taken; [`StoreError::KeyRetired`];
/// [`StoreError::Unavailable`].
pub async fn insert_all(
    connection: &mut Connection,
    tokens: Vec<NewToken>,
) -> Result<Vec<Token>, StoreError> {
    if tokens.is_empty() {
        return Ok(Vec::new());
    }
    let text = |of: fn(&NewToken) -> &str| column(&tokens, of);
    let query = statement(INSERT)
        .bind::<Array<SqlUuid>, _>(column(&tokens, |it| it.id.as_uuid()))
        .bind::<Array<Text>, _>(text(|it| it.workspace.as_str()))
        .bind::<Array<Text>, _>(text(|it| it.name.as_str()))
        .bind::<Array<Text>, _>(text(|it| it.description.as_str()))
        .bind::<Array<Nullable<Text>>, _>(column(&tokens, |it| {
            it.principal.as_ref().map(PrincipalId::as_str)
        }))
        .bind::<Array<Text>, _>(text(|it| it.creator.as_str()))
        .bind::<Array<Text>, _>(text(|it| token_type_column(it.token_type)))
        .bind::<Array<Text>, _>(column(&tokens, |it| words(it.scopes.iter())))
        .bind::<Array<Text>, _>(column(&tokens, |it| words(it.audiences.as_slice().iter())))
        .bind::<Array<Text>, _>(column(&tokens, |it| words(it.allowed_cidrs.as_slice().iter())))
        .bind::<Array<Nullable<BigInt>>, _>(column(&tokens, |it| it.external_id.map(ExternalId::get)))
        .bind::<Array<Jsonb>, _>(column(&tokens, |it| metadata_column(it.metadata.clone())))
        .bind::<Array<Nullable<Timestamptz>>, _>(column(&tokens, |it| moment(it.expiry)))
        .bind::<Array<Nullable<Interval>>, _>(column(&tokens, |it| lifetime(it.expiry)))
        .bind::<Array<Text>, _>(column(&tokens, |it| it.secret.kid.to_string()))
        .bind::<Array<Binary>, _>(column(&tokens, |it| it.secret.tag.0.to_vec()))
        .bind::<Array<Text>, _>(text(|it| it.secret.hash.as_phc()))
        .bind::<Array<Text>, _>(text(|it| it.secret.obfuscated.as_str()))
        .bind::<Int4, _>(Generation::FIRST.0);
    let rows: Vec<(TokenRow, BesideRow)> = connection.rows(query).await?;
    rows.into_iter().map(|(row, beside)| into_token(row, beside)).collect()
}

fn into_token(row: TokenRow, beside: BesideRow) -> Result<Token, StoreError> {
    let kid = understood("tokens.kid", Kid::parse(&beside.kid).ok_or(()))?;
    not_of_retired_key(row.into_token(beside.is_of_retired_key, beside.profile, None)?, kid)
}

fn column<'token, Value>(tokens: &'token [NewToken], value: fn(&'token NewToken) -> Value) -> Vec<Value> {
    tokens.iter().map(value).collect()
}

fn words<Word: ToString>(words: impl Iterator<Item = Word>) -> String {
    words.map(|word| word.to_string()).collect::<Vec<_>>().join(" ")
}
