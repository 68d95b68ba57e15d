//! What it takes to judge presented secrets, read at one moment.

use std::collections::HashMap;
use std::time::SystemTime;

use diesel::prelude::*;
use uuid::Uuid;

use super::connection::Connection;
use super::error::{StoreError, understood};
use super::log::history;
use super::moment::Moment;
use super::previous_secrets::{is_open, previous_is_of_retired_key};
use super::schema::{previous_secrets, principals, profiles, tokens, workspaces};
use super::token_row::{TokenRow, is_of_retired_key, scopes};
use crate::defect::{Defect, seeded};
use crate::hash::SecretHash;
use crate::profile::ProfileName;
use crate::revocation::HistoryId;
use crate::text::Handle;
use crate::token::{Generation, Kid, Revision, ScopeSet, Tag, Token, TokenId, TokenState};

/// What it takes to judge a presented secret.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The token; when it was last used, and its previous secret, is not filled in.
    pub token: Token,
    /// Its present secret.
    pub present: StoredSecret,
    /// The secret before, if that has not ended yet.
    pub previous: Option<StoredSecret>,
    /// Who the token acts for, if it acts for somebody.
    pub principal: Option<Limits>,
    /// The profile of the workspace, and its version.
    pub profile: Option<(ProfileName, i32)>,
    /// The position of the last change that concerned the token, alone or with others.
    pub revision: Revision,
    /// When this was read, by the database's clock.
    pub read_time: SystemTime,
}

/// What is kept of one secret.
#[derive(Debug, Clone)]
pub struct StoredSecret {
    /// Which secret of its token it is.
    pub generation: Generation,
    /// The key that it was issued under.
    pub kid: Kid,
    /// The tag that it carries.
    pub tag: Tag,
    /// What proves it.
    pub hash: SecretHash,
    /// Where its token stands for whoever presents it: it may be invalidated while another is not.
    pub state: TokenState,
    /// When it ends, alone or with its token; `None` for never.
    pub expire_time: Option<SystemTime>,
}

impl Credential {
    /// The secrets that have not ended yet, the present one first.
    pub fn secrets(&self) -> impl Iterator<Item = &StoredSecret> {
        std::iter::once(&self.present).chain(&self.previous)
    }
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

/// PostgreSQL plans a statement anew each time as long as a plan for the very ids that are named seems cheaper than one for
/// any ids, which it takes to be so many. To plan this one takes longer than to look a hundred tokens up, so no fewer are
/// named, the same one again if need be.
const NAMED: usize = 10;

/// What it takes to judge secrets of the tokens of these ids, all true of one moment.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
pub async fn read(connection: &mut Connection, ids: &[TokenId]) -> Result<Credentials, StoreError> {
    let mut wanted: Vec<Uuid> = ids.iter().map(TokenId::as_uuid).collect();
    if let Some(first) = wanted.first().copied() {
        wanted.resize(wanted.len().max(NAMED), first);
    }
    let acts_for =
        principals::workspace.eq(tokens::workspace).and(principals::id.nullable().eq(tokens::principal));
    let query = tokens::table
        .inner_join(workspaces::table.on(workspaces::id.eq(tokens::workspace)))
        .left_join(principals::table.on(acts_for))
        .left_join(profiles::table.on(profiles::name.nullable().eq(workspaces::profile)))
        .left_join(previous_secrets::table.on(is_open()))
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
    #[diesel(embed)]
    previous: Option<PreviousPart>,
    #[diesel(select_expression = previous_is_of_retired_key(), select_expression_type = previous_is_of_retired_key)]
    previous_key_is_retired: bool,
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

#[derive(Queryable, Selectable)]
#[diesel(table_name = previous_secrets, check_for_backend(diesel::pg::Pg))]
struct PreviousPart {
    generation: i32,
    kid: String,
    tag: Vec<u8>,
    secret_hash: String,
    epoch: i32,
    expire_time: Moment,
}

fn credential(row: CredentialRow) -> Result<(TokenId, Credential), StoreError> {
    let previous = row.previous_secret()?;
    let CredentialRow { token, kid, tag, secret_hash, principal, profile, workspace, .. } = row;
    let read_time = token.read_time.0;
    let invalidated = is_over(row.epoch, workspace.epoch) || row.key_is_retired;
    let name = profile.as_ref().map(|profile| profile.name.clone());
    let token = token.into_token(invalidated, name, None)?;
    let changed_with = [
        principal.as_ref().map(|principal| principal.revision),
        profile.as_ref().map(|profile| profile.revision),
        Some(workspace.revision),
    ];
    let changed_with = changed_with.into_iter().flatten().max().unwrap_or_default();
    let present = StoredSecret {
        generation: token.generation,
        kid: understood("tokens.kid", Kid::parse(&kid).ok_or(()))?,
        tag: Tag(understood("tokens.tag", tag.try_into())?),
        hash: SecretHash::from_phc(secret_hash),
        state: token.state,
        expire_time: token.expire_time,
    };
    let credential = Credential {
        present,
        previous,
        principal: principal.map(limits).transpose()?,
        profile: profile.map(profile_version).transpose()?,
        revision: token.revision.max(Revision(changed_with)),
        read_time,
        token,
    };
    Ok((credential.token.id, credential))
}

impl CredentialRow {
    fn previous_secret(&self) -> Result<Option<StoredSecret>, StoreError> {
        let Some(previous) = &self.previous else { return Ok(None) };
        let invalidated = is_over(previous.epoch, self.workspace.epoch) || self.previous_key_is_retired;
        let end = previous.expire_time.0;
        Ok(Some(StoredSecret {
            generation: Generation(previous.generation),
            kid: understood("previous_secrets.kid", Kid::parse(&previous.kid).ok_or(()))?,
            tag: Tag(understood("previous_secrets.tag", previous.tag.as_slice().try_into())?),
            hash: SecretHash::from_phc(previous.secret_hash.clone()),
            state: self.token.state(invalidated),
            expire_time: Some(self.token.expire_time().map_or(end, |expire_time| end.min(expire_time))),
        }))
    }
}

/// Whether a secret of this epoch is of one before the workspace's present one.
fn is_over(epoch: i32, present: i32) -> bool {
    epoch < present && !seeded(Defect::EpochIgnored)
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
