//! What it takes to judge presented secrets, read at one moment.

use std::collections::HashMap;
use std::time::SystemTime;

use diesel::prelude::*;
use uuid::Uuid;

use super::connection::Connection;
use super::error::{StoreError, understood};
use super::log::history;
use super::moment::Moment;
use super::schema::{principals, profiles, tokens, workspaces};
use super::token_row::{TokenRow, is_of_retired_key, scopes};
use crate::defect::{Defect, seeded};
use crate::hash::SecretHash;
use crate::profile::ProfileName;
use crate::revocation::HistoryId;
use crate::text::Handle;
use crate::token::{Kid, Revision, ScopeSet, Tag, Token, TokenId};

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
    /// Who the token acts for, if it acts for somebody.
    pub principal: Option<Limits>,
    /// The profile of the workspace, and its version.
    pub profile: Option<(ProfileName, i32)>,
    /// The position of the last change that concerned the token, alone or with others.
    pub revision: Revision,
    /// When this was read, by the database's clock.
    pub read_time: SystemTime,
}

/// What a principal lets its tokens do.
#[derive(Debug, Clone)]
pub struct Limits {
    /// What it may do.
    pub scopes: ScopeSet,
    /// What the product calls it.
    pub handle: Option<Handle>,
    /// Whether it is disabled, or deleted.
    pub disabled: bool,
}

/// What was found of several tokens, at one moment.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The history of the log in which this was read.
    pub history: HistoryId,
    /// Those that are there.
    pub of: HashMap<TokenId, Credential>,
}

/// What it takes to judge secrets of the tokens of these ids, all true of one moment.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
pub async fn read(connection: &mut Connection, ids: &[TokenId]) -> Result<Credentials, StoreError> {
    let wanted: Vec<Uuid> = ids.iter().map(TokenId::as_uuid).collect();
    let acts_for =
        principals::workspace.eq(tokens::workspace).and(principals::id.nullable().eq(tokens::principal));
    let query = tokens::table
        .inner_join(workspaces::table.on(workspaces::id.eq(tokens::workspace)))
        .left_join(principals::table.on(acts_for))
        .left_join(profiles::table.on(profiles::name.nullable().eq(workspaces::profile)))
        .filter(tokens::id.eq_any(wanted))
        .select(CredentialRow::as_select());
    let rows: Vec<CredentialRow> = connection.rows(query).await?;
    // Where not even one is there, the history must be asked for by itself, of the same database.
    let history = match rows.first() {
        Some(row) => row.history,
        None => connection.row(diesel::select(history())).await?,
    };
    let of: Result<_, StoreError> = rows.into_iter().map(credential).collect();
    Ok(Credentials { history: HistoryId(history), of: of? })
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = tokens, check_for_backend(diesel::pg::Pg))]
struct CredentialRow {
    #[diesel(embed)]
    token: TokenRow,
    kid: String,
    tag: Vec<u8>,
    secret_hash: String,
    epoch: i32,
    #[diesel(select_expression = is_of_retired_key(), select_expression_type = is_of_retired_key)]
    key_is_retired: bool,
    #[diesel(embed)]
    workspace: WorkspacePart,
    #[diesel(embed)]
    principal: Option<PrincipalPart>,
    #[diesel(embed)]
    profile: Option<ProfilePart>,
    #[diesel(select_expression = history(), select_expression_type = history)]
    history: Uuid,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = workspaces, check_for_backend(diesel::pg::Pg))]
struct WorkspacePart {
    epoch: i32,
    revision: i64,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = principals, check_for_backend(diesel::pg::Pg))]
struct PrincipalPart {
    handle: Option<String>,
    scopes: Vec<String>,
    disabled: bool,
    delete_time: Option<Moment>,
    revision: i64,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = profiles, check_for_backend(diesel::pg::Pg))]
struct ProfilePart {
    name: String,
    version: i32,
    revision: i64,
}

fn credential(row: CredentialRow) -> Result<(TokenId, Credential), StoreError> {
    let CredentialRow { token, kid, tag, secret_hash, principal, profile, workspace, .. } = row;
    let read_time = token.read_time.0;
    let of_old = row.epoch < workspace.epoch && !seeded(Defect::EpochIgnored);
    let invalidated = of_old || row.key_is_retired;
    let name = profile.as_ref().map(|profile| profile.name.clone());
    let token = token.into_token(invalidated, name, None)?;
    let changed_with = [
        principal.as_ref().map(|principal| principal.revision),
        profile.as_ref().map(|profile| profile.revision),
        Some(workspace.revision),
    ];
    let changed_with = changed_with.into_iter().flatten().max().unwrap_or_default();
    let credential = Credential {
        kid: understood("tokens.kid", Kid::parse(&kid).ok_or(()))?,
        tag: Tag(understood("tokens.tag", tag.try_into())?),
        hash: SecretHash::from_phc(secret_hash),
        principal: principal.map(limits).transpose()?,
        profile: profile.map(profile_version).transpose()?,
        revision: token.revision.max(Revision(changed_with)),
        read_time,
        token,
    };
    Ok((credential.token.id, credential))
}

fn limits(principal: PrincipalPart) -> Result<Limits, StoreError> {
    Ok(Limits {
        scopes: scopes("principals.scopes", principal.scopes)?,
        handle: understood("principals.handle", principal.handle.map(Handle::parse).transpose())?,
        disabled: principal.disabled || principal.delete_time.is_some(),
    })
}

fn profile_version(profile: ProfilePart) -> Result<(ProfileName, i32), StoreError> {
    Ok((understood("profiles.name", ProfileName::parse(profile.name))?, profile.version))
}
