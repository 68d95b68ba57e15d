//! Tokens: insert, find, lock, change; and pages of them.

use std::collections::HashMap;
use std::time::SystemTime;

use diesel::dsl::auto_type;
use diesel::prelude::*;
use uuid::Uuid;

pub use super::token_ends::{Revocation, revoke};
pub use super::token_list::{TokenQuery, list};

use super::connection::Connection;
use super::error::{StoreError, understood};
use super::moment::Moment;
use super::schema::{histories, tokens};
use super::token_row::{TokenRow, expire_time, last_use_time, statement_timestamp};
use super::transaction::Transaction;
use crate::hash::SecretHash;
use crate::revocation::HistoryId;
use crate::text::{Description, Initiator, Metadata, Name, Principal};
use crate::token::{Expiry, Generation, Kid, Revision, ScopeSet, Tag, Token, TokenEdit, TokenId};
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
    pub principal: Option<Principal>,
    /// On whose behalf it is created.
    pub creator: Initiator,
    /// What it may do.
    pub scopes: ScopeSet,
    /// The caller's own labels.
    pub metadata: Metadata,
    /// When it will expire.
    pub expiry: Expiry,
    /// Its first secret.
    pub secret: NewSecret,
}

/// What it takes to judge a presented secret.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The token; when it was last used is not filled in.
    pub token: Token,
    /// The key that the live secret was issued under.
    pub kid: Kid,
    /// The tag that the live secret carries.
    pub tag: Tag,
    /// What proves the live secret.
    pub hash: SecretHash,
    /// When this was read, by the database's clock.
    pub read_time: SystemTime,
}

/// What was found of several tokens, at one moment.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The history of the log in which this was read.
    pub history: HistoryId,
    /// Those that are there.
    pub of: HashMap<TokenId, Credential>,
}

/// Adds a token. A token that is born [`Expired`](crate::token::TokenState::Expired) was given a moment in the past:
/// the caller rolls back.
///
/// # Errors
/// [`StoreError::Conflict`] if the workspace is not there or the id is taken; [`StoreError::Unavailable`].
pub async fn insert(connection: &mut Connection, token: NewToken) -> Result<Token, StoreError> {
    let values = (
        tokens::id.eq(token.id.as_uuid()),
        tokens::workspace.eq(token.workspace.as_str()),
        tokens::name.eq(token.name.as_str()),
        tokens::description.eq(token.description.as_str()),
        tokens::principal.eq(token.principal.as_ref().map(Principal::as_str)),
        tokens::creator.eq(token.creator.as_str()),
        tokens::scopes.eq(scopes_column(&token.scopes)),
        tokens::metadata.eq(metadata_column(token.metadata)),
        tokens::expire_time.eq(expire_time(token.expiry)),
        tokens::generation.eq(Generation::FIRST.0),
        secret_columns(&token.secret),
    );
    let query = diesel::insert_into(tokens::table).values(values).returning(TokenRow::as_returning());
    connection.row(query).await?.into_token(None)
}

/// The token of that id.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
pub async fn find(connection: &mut Connection, id: TokenId) -> Result<Option<Token>, StoreError> {
    let query = tokens::table.find(id.as_uuid()).select((TokenRow::as_select(), last_use_time()));
    connection.row_if_any(query).await?.map(into_token).transpose()
}

/// A token that nobody else can change until the transaction ends.
#[derive(Debug, Clone)]
pub struct Locked {
    /// The token.
    pub token: Token,
    /// When it was asked for, by the database's clock: what it is to be judged by.
    pub time: SystemTime,
}

/// Locks the tokens of these ids, those that are there, one after another in the order of the ids: so do all who lock
/// several, who therefore wait for each other and never deadlock. A first use of a token can be recorded meanwhile.
///
/// # Errors
/// [`StoreError::Unavailable`], also if somebody else held one for too long; [`StoreError::Corrupt`].
pub async fn lock(transaction: &mut Transaction, ids: &[TokenId]) -> Result<Vec<Locked>, StoreError> {
    let wanted: Vec<Uuid> = ids.iter().map(TokenId::as_uuid).collect();
    let query = tokens::table.filter(tokens::id.eq_any(wanted)).order(tokens::id);
    let query = query.select((TokenRow::as_select(), last_use_time())).for_no_key_update();
    let rows: Vec<(TokenRow, Option<Moment>)> = transaction.connection().rows(query).await?;
    let locked = rows.into_iter().map(|(row, used)| {
        let time = row.read_time.0;
        Ok(Locked { token: row.into_token(used)?, time })
    });
    locked.collect()
}

/// Changes what `edit` names of a token that the transaction has locked. Given a moment in the past to expire at, it
/// comes back [`Expired`](crate::token::TokenState::Expired).
///
/// # Errors
/// [`StoreError::Unavailable`]; [`StoreError::Mismatch`] if the token is not there.
pub async fn update(
    connection: &mut Connection,
    id: TokenId,
    edit: TokenEdit,
    revision: Revision,
) -> Result<Token, StoreError> {
    let changes = (
        edit.name.map(|name| tokens::name.eq(name.into_string())),
        edit.description.map(|description| tokens::description.eq(description.into_string())),
        edit.scopes.as_ref().map(|scopes| tokens::scopes.eq(scopes_column(scopes))),
        edit.metadata.map(|metadata| tokens::metadata.eq(metadata_column(metadata))),
        edit.expiry.map(|expiry| tokens::expire_time.eq(expire_time(expiry))),
        changed_at(revision),
    );
    let query = diesel::update(tokens::table.find(id.as_uuid())).set(changes);
    let row = connection.row(query.returning((TokenRow::as_returning(), last_use_time()))).await?;
    into_token(row)
}

/// Gives a token that the transaction has locked a new secret, and with it the next generation; the old secret is
/// forgotten. The expiry stays unless a new one is given.
///
/// # Errors
/// As [`update`].
pub async fn replace_secret(
    connection: &mut Connection,
    id: TokenId,
    secret: NewSecret,
    expiry: Option<Expiry>,
    revision: Revision,
) -> Result<Token, StoreError> {
    let changes = (
        tokens::generation.eq(tokens::generation + 1),
        secret_columns(&secret),
        expiry.map(|expiry| tokens::expire_time.eq(expire_time(expiry))),
        changed_at(revision),
    );
    let query = diesel::update(tokens::table.find(id.as_uuid())).set(changes);
    let row = connection.row(query.returning((TokenRow::as_returning(), last_use_time()))).await?;
    into_token(row)
}

/// What it takes to judge secrets of the tokens of these ids.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
pub async fn credentials(connection: &mut Connection, ids: &[TokenId]) -> Result<Credentials, StoreError> {
    let wanted: Vec<Uuid> = ids.iter().map(TokenId::as_uuid).collect();
    let columns = (TokenRow::as_select(), tokens::kid, tokens::tag, tokens::secret_hash, history());
    let query = tokens::table.filter(tokens::id.eq_any(wanted)).select(columns);
    let rows: Vec<CredentialRow> = connection.rows(query).await?;
    // Where not even one is there, the history must be asked for by itself, of the same database.
    let history = match rows.first() {
        Some((.., history)) => *history,
        None => connection.row(diesel::select(history())).await?,
    };
    let of: Result<_, StoreError> = rows.into_iter().map(credential).collect();
    Ok(Credentials { history: HistoryId(history), of: of? })
}

type CredentialRow = (TokenRow, String, Vec<u8>, String, Uuid);

/// The history of the log, as the statement at hand sees it.
#[auto_type]
fn history() -> _ {
    histories::table.find(true).select(histories::id).single_value().assume_not_null()
}

fn credential((row, kid, tag, hash, _): CredentialRow) -> Result<(TokenId, Credential), StoreError> {
    let read_time = row.read_time.0;
    let token = row.into_token(None)?;
    let credential = Credential {
        kid: understood("tokens.kid", Kid::parse(&kid).ok_or(()))?,
        tag: Tag(understood("tokens.tag", tag.try_into())?),
        hash: SecretHash::from_phc(hash),
        read_time,
        token,
    };
    Ok((credential.token.id, credential))
}

fn into_token((row, last_use_time): (TokenRow, Option<Moment>)) -> Result<Token, StoreError> {
    row.into_token(last_use_time)
}

type SecretColumns = (
    diesel::dsl::Eq<tokens::kid, String>,
    diesel::dsl::Eq<tokens::tag, Vec<u8>>,
    diesel::dsl::Eq<tokens::secret_hash, String>,
    diesel::dsl::Eq<tokens::obfuscated_secret, String>,
);

fn secret_columns(secret: &NewSecret) -> SecretColumns {
    (
        tokens::kid.eq(secret.kid.to_string()),
        tokens::tag.eq(secret.tag.0.to_vec()),
        tokens::secret_hash.eq(secret.hash.as_phc().to_owned()),
        tokens::obfuscated_secret.eq(secret.obfuscated.clone()),
    )
}

type ChangedAt =
    (diesel::dsl::Eq<tokens::revision, i64>, diesel::dsl::Eq<tokens::update_time, statement_timestamp>);

fn changed_at(revision: Revision) -> ChangedAt {
    (tokens::revision.eq(revision.0), tokens::update_time.eq(statement_timestamp()))
}

fn scopes_column(scopes: &ScopeSet) -> Vec<String> {
    scopes.iter().map(|scope| scope.as_str().to_owned()).collect()
}

fn metadata_column(metadata: Metadata) -> serde_json::Value {
    metadata.into_entries().into_iter().collect()
}
