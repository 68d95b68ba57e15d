//! A row of `tokens` and how it becomes a token.

use std::collections::BTreeMap;
use std::time::SystemTime;

use diesel::dsl::auto_type;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Record, Timestamptz};
use uuid::Uuid;

use super::error::{StoreError, understood};
use super::moment::Moment;
use super::previous_secrets::{PreviousColumns, into_previous_secret};
use super::schema::{bulk_revocations, server_keys, token_last_uses, tokens, workspaces};
use crate::profile::{Audience, ProfileName, TokenType};
use crate::text::{Description, Initiator, Metadata, Name, PrincipalId, Reason};
use crate::token::{
    Audiences, Cidr, Cidrs, Ended, ExternalId, Generation, Kid, Revision, Scope, ScopeSet, Suspended, Token,
    TokenId, TokenState,
};
use crate::workspace::WorkspaceId;

#[diesel::declare_sql_function]
extern "SQL" {
    /// The database's clock, standing still for a whole statement: what a filter, a written time and a state say of
    /// one moment then agrees, and an index can be searched by it.
    fn statement_timestamp() -> Timestamptz;
    /// The first of two moments that there is.
    fn coalesce(first: Nullable<Timestamptz>, second: Nullable<Timestamptz>) -> Nullable<Timestamptz>;
    /// The first of two positions that there is.
    #[sql_name = "coalesce"]
    fn first_position(first: Nullable<BigInt>, second: BigInt) -> BigInt;
}

/// A row, without what could prove a secret, and the moment it was read.
#[derive(Queryable, QueryableByName, Selectable)]
#[diesel(table_name = tokens, check_for_backend(Pg))]
pub(super) struct TokenRow {
    id: Uuid,
    workspace: String,
    name: String,
    description: String,
    principal: Option<String>,
    creator: String,
    scopes: Vec<String>,
    metadata: serde_json::Value,
    expire_time: Option<Moment>,
    create_time: Moment,
    update_time: Moment,
    revoke_time: Option<Moment>,
    revoke_reason: Option<String>,
    generation: i32,
    obfuscated_secret: String,
    #[diesel(select_expression = revision(), select_expression_type = revision)]
    revision: i64,
    token_type: String,
    audiences: Vec<String>,
    allowed_cidrs: Vec<String>,
    external_id: Option<i64>,
    secret_time: Moment,
    suspend_time: Option<Moment>,
    suspend_reason: Option<String>,
    #[diesel(select_expression = statement_timestamp(), select_expression_type = statement_timestamp)]
    #[diesel(sql_type = Timestamptz)]
    pub(super) read_time: Moment,
}

/// The last use of the token of the row at hand.
#[auto_type]
pub(super) fn last_use_time() -> _ {
    token_last_uses::table
        .filter(token_last_uses::token.eq(tokens::id))
        .select(token_last_uses::last_use_time)
        .single_value()
}

/// The last change of the token of the row at hand; one that ended with many others names where that is kept.
#[auto_type]
pub(super) fn revision() -> _ {
    let ended = bulk_revocations::table
        .filter(bulk_revocations::id.nullable().eq(tokens::bulk_revocation))
        .select(bulk_revocations::revision)
        .single_value();
    first_position(ended, tokens::revision)
}

/// Whether the secret of the row at hand was invalidated with all others of its workspace, or of its server key.
#[auto_type]
pub(super) fn is_invalidated() -> _ {
    tokens::epoch.lt(epoch()).or(is_of_retired_key())
}

/// The present epoch of the workspace of the row at hand.
#[auto_type]
pub(super) fn epoch() -> _ {
    workspaces::table
        .filter(workspaces::id.eq(tokens::workspace))
        .select(workspaces::epoch)
        .single_value()
        .assume_not_null()
}

/// Whether the secret of the row at hand was issued under a key that is retired.
#[auto_type]
pub(super) fn is_of_retired_key() -> _ {
    diesel::dsl::exists(
        server_keys::table.filter(server_keys::kid.eq(tokens::kid).and(server_keys::state.eq("retired"))),
    )
}

/// The profile of the workspace of the row at hand.
#[auto_type]
pub(super) fn profile() -> _ {
    workspaces::table.filter(workspaces::id.eq(tokens::workspace)).select(workspaces::profile).single_value()
}

/// What was counted of the uses of the row at hand, in one look.
#[auto_type]
pub(super) fn uses() -> _ {
    token_last_uses::table.filter(token_last_uses::token.eq(tokens::id)).select(counted()).single_value()
}

type UsesRecord = Record<(Nullable<Timestamptz>, BigInt, BigInt, Nullable<Timestamptz>)>;

#[auto_type]
fn counted() -> _ {
    let columns: (
        token_last_uses::last_use_time,
        token_last_uses::use_count,
        token_last_uses::superseded_use_count,
        token_last_uses::superseded_use_time,
    ) = (
        token_last_uses::last_use_time,
        token_last_uses::use_count,
        token_last_uses::superseded_use_count,
        token_last_uses::superseded_use_time,
    );
    columns.into_sql::<UsesRecord>()
}

/// The last use, how many there were, and how many of dead secrets, the last of them when.
pub(super) type Uses = (Option<Moment>, i64, i64, Option<Moment>);

/// What is selected of a token, whoever asks: its row, [`is_invalidated()`], [`profile()`], [`uses()`] and
/// `previous_secret()`.
pub(super) type TokenColumns = (TokenRow, bool, Option<String>, Option<Uses>, PreviousColumns);

impl TokenRow {
    /// The token, whose secret may be invalidated, whose workspace has this profile, and whose uses these are. What its
    /// previous secret is, is not filled in.
    pub(super) fn into_token(
        self,
        invalidated: bool,
        profile: Option<String>,
        uses: Option<Uses>,
    ) -> Result<Token, StoreError> {
        let state = self.state(invalidated);
        let (last_use_time, use_count, superseded_use_count, superseded_use_time) = uses.unwrap_or_default();
        Ok(Token {
            id: TokenId::from_uuid(self.id),
            workspace: understood("tokens.workspace", WorkspaceId::parse(self.workspace))?,
            profile: understood("workspaces.profile", profile.map(ProfileName::parse).transpose())?,
            name: understood("tokens.name", Name::parse(self.name))?,
            description: understood("tokens.description", Description::parse(self.description))?,
            principal: understood("tokens.principal", self.principal.map(PrincipalId::parse).transpose())?,
            creator: understood("tokens.creator", Initiator::parse(self.creator))?,
            token_type: token_type(&self.token_type)?,
            scopes: scopes("tokens.scopes", self.scopes)?,
            audiences: audiences(self.audiences)?,
            allowed_cidrs: cidrs(&self.allowed_cidrs)?,
            metadata: metadata(self.metadata)?,
            expire_time: self.expire_time.map(|moment| moment.0),
            create_time: self.create_time.0,
            update_time: self.update_time.0,
            last_use_time: last_use_time.map(|moment| moment.0),
            use_count,
            superseded_use_count,
            superseded_use_time: superseded_use_time.map(|moment| moment.0),
            ended: since("tokens.revoke_time", self.revoke_time, self.revoke_reason)?
                .map(|(time, reason)| Ended { time, reason }),
            suspended: since("tokens.suspend_time", self.suspend_time, self.suspend_reason)?
                .map(|(time, reason)| Suspended { time, reason }),
            state,
            external_id: external_id("tokens.external_id", self.external_id)?,
            generation: Generation(self.generation),
            obfuscated_secret: self.obfuscated_secret,
            secret_time: self.secret_time.0,
            previous_secret: None,
            rotation_due_time: None,
            revision: Revision(self.revision),
        })
    }

    pub(super) fn expire_time(&self) -> Option<SystemTime> {
        self.expire_time.map(|moment| moment.0)
    }

    /// Where the token stands for a secret that may be invalidated. The same rule as that of a list's filter, which says
    /// it in SQL.
    pub(super) fn state(&self, invalidated: bool) -> TokenState {
        if self.revoke_time.is_some() {
            TokenState::Revoked
        } else if self.expire_time.is_some_and(|moment| moment.0 <= self.read_time.0) {
            TokenState::Expired
        } else if invalidated {
            TokenState::Invalidated
        } else if self.suspend_time.is_some() {
            TokenState::Suspended
        } else {
            TokenState::Active
        }
    }
}

/// The token of the columns that are selected whoever asks.
pub(super) fn into_token(columns: TokenColumns) -> Result<Token, StoreError> {
    let (row, invalidated, profile, uses, previous) = columns;
    let token = row.into_token(invalidated, profile, uses)?;
    Ok(Token { previous_secret: into_previous_secret(previous, &token), ..token })
}

/// The token whose secret was just issued in the present epoch, so that only its key can invalidate it.
pub(super) fn not_of_retired_key(token: Token, kid: Kid) -> Result<Token, StoreError> {
    if token.state == TokenState::Invalidated { Err(StoreError::KeyRetired(kid)) } else { Ok(token) }
}

pub(super) fn scopes(what: &'static str, texts: Vec<String>) -> Result<ScopeSet, StoreError> {
    let scopes: Result<Vec<Scope>, _> = texts.into_iter().map(Scope::parse).collect();
    understood(what, scopes.and_then(ScopeSet::new))
}

pub(super) fn external_id(what: &'static str, number: Option<i64>) -> Result<Option<ExternalId>, StoreError> {
    understood(what, number.map(ExternalId::parse).transpose())
}

fn token_type(text: &str) -> Result<TokenType, StoreError> {
    let known = TokenType::WORDS.into_iter().find(|(word, _)| *word == text);
    understood("tokens.type", known.map(|(_, token_type)| token_type).ok_or(()))
}

/// The word for a type of token in its column.
pub(super) fn token_type_column(token_type: TokenType) -> &'static str {
    let known = TokenType::WORDS.into_iter().find(|(_, known)| *known == token_type);
    known.map_or("custom", |(word, _)| word)
}

fn audiences(texts: Vec<String>) -> Result<Audiences, StoreError> {
    let audiences: Result<Vec<Audience>, _> = texts.into_iter().map(Audience::parse).collect();
    understood("tokens.audiences", audiences.and_then(Audiences::new))
}

fn cidrs(texts: &[String]) -> Result<Cidrs, StoreError> {
    let cidrs: Result<Vec<Cidr>, _> = texts.iter().map(|text| Cidr::parse(text)).collect();
    understood("tokens.allowed_cidrs", cidrs.and_then(Cidrs::new))
}

fn metadata(value: serde_json::Value) -> Result<Metadata, StoreError> {
    let entries: BTreeMap<String, String> = understood("tokens.metadata", serde_json::from_value(value))?;
    understood("tokens.metadata", Metadata::parse(entries))
}

/// What holds since a moment, and why; both columns are filled, or neither.
fn since(
    what: &'static str,
    moment: Option<Moment>,
    reason: Option<String>,
) -> Result<Option<(SystemTime, Reason)>, StoreError> {
    match (moment, reason) {
        (None, None) => Ok(None),
        (Some(Moment(time)), Some(reason)) => Ok(Some((time, understood(what, Reason::parse(reason))?))),
        (Some(_), None) | (None, Some(_)) => Err(StoreError::Corrupt { what }),
    }
}
