//! From the words of the wire to the words of the domain, with the path of every field that cannot be taken.

pub(super) mod audit;
pub(super) mod edge;
pub(super) mod introspection;
pub(super) mod mutating;
pub(super) mod principals;
pub(super) mod revocations;
pub(super) mod sidecars;
pub(super) mod workspaces;

use prost_types::FieldMask;

use super::fields::Fields;
use crate::proto::v1;
use crate::service::{
    Error, NewTokenWords, OverlapEnd, Regeneration, Revocation, Suspension, TokenChange, TokenCountRequest,
    TokenPageRequest, WatchRequest,
};
use crate::text::{Description, Initiator, Invalid, Name, NamePrefix, PrincipalId, Reason};
use crate::token::{Expiry, Precondition, Revision, Scope, TokenEdit, TokenFilter, TokenId};
use crate::workspace::WorkspaceId;

pub(super) fn create_token(request: v1::CreateTokenRequest) -> Result<NewTokenWords, Error> {
    use v1::create_token_request::Expiration;
    let mut fields = Fields::default();
    let workspace = fields.take("workspace", WorkspaceId::parse(request.workspace));
    let name = fields.take("name", Name::parse(request.name));
    let description = fields.take("description", Description::parse(request.description));
    let principal = fields.optional("principal", request.principal, PrincipalId::parse);
    let initiator = fields.optional("initiator", request.initiator, Initiator::parse);
    let scopes = fields.scopes("scopes", request.scopes);
    let metadata = fields.metadata("metadata", request.metadata);
    let token_type = fields.token_type("type", request.r#type);
    let audiences = fields.audiences("audiences", request.audiences);
    let allowed_cidrs = fields.cidrs("allowed_cidrs", request.allowed_cidrs);
    let expiry = match request.expiration {
        None => Some(None),
        Some(Expiration::ExpireTime(time)) => fields.expire_time("expire_time", time).map(Some),
        Some(Expiration::Lifetime(lifetime)) => fields.lifetime("lifetime", lifetime).map(Some),
        Some(Expiration::NeverExpires(said)) => fields.never("never_expires", said).map(Some),
    };
    let words = || {
        Some(NewTokenWords {
            workspace: workspace?,
            name: name?,
            description: description?,
            principal: principal?,
            initiator: initiator?,
            token_type: token_type?,
            scopes: scopes?,
            audiences: audiences?,
            allowed_cidrs: allowed_cidrs?,
            metadata: metadata?,
            expiry: expiry?,
        })
    };
    fields.finish(words())
}

#[expect(clippy::needless_pass_by_value, reason = "all parsers have one shape")]
pub(super) fn get_token(request: v1::GetTokenRequest) -> Result<TokenId, Error> {
    TokenId::parse(&request.id).map_err(|invalid| Error::field("id", invalid))
}

pub(super) fn list_tokens(request: v1::ListTokensRequest) -> Result<TokenPageRequest, Error> {
    let mut fields = Fields::default();
    let workspace = fields.take("workspace", WorkspaceId::parse(request.workspace));
    let filter = token_filter(&mut fields, request.filter.unwrap_or_default());
    let size = fields.page_size(request.page_size);
    let after = Some(request.page_token).filter(|text| !text.is_empty());
    let words = || Some(TokenPageRequest { workspace: workspace?, filter: filter?, size: size?, after });
    fields.finish(words())
}

pub(super) fn count_tokens(request: v1::CountTokensRequest) -> Result<TokenCountRequest, Error> {
    let mut fields = Fields::default();
    let workspace = fields.take("workspace", WorkspaceId::parse(request.workspace));
    let filter = token_filter(&mut fields, request.filter.unwrap_or_default());
    let words = || Some(TokenCountRequest { workspace: workspace?, filter: filter? });
    fields.finish(words())
}

fn token_filter(fields: &mut Fields, filter: v1::TokenFilter) -> Option<TokenFilter> {
    let states = fields.states("filter.states", &filter.states);
    let principal = fields.optional("filter.principal", filter.principal, PrincipalId::parse);
    let principal_kind = principals::kind(fields, "filter.principal_kind", filter.principal_kind);
    let creator = fields.optional("filter.creator", filter.creator, Initiator::parse);
    let token_type = fields.token_type("filter.type", filter.r#type);
    let name_prefix = fields.optional("filter.name_prefix", filter.name_prefix, NamePrefix::parse);
    let scope = fields.optional("filter.scope", filter.scope, Scope::parse);
    let created_since = fields.optional_time("filter.created_since", filter.created_since);
    let created_before = fields.optional_time("filter.created_before", filter.created_before);
    let expiring_within =
        filter.expiring_within.map(|within| fields.duration("filter.expiring_within", within));
    let unused_since = fields.optional_time("filter.unused_since", filter.unused_since);
    let superseded_use_since =
        fields.optional_time("filter.superseded_use_since", filter.superseded_use_since);
    Some(TokenFilter {
        states: states?,
        principal: principal?,
        principal_kind: principal_kind?,
        creator: creator?,
        token_type: token_type?,
        name_prefix: name_prefix?,
        scope: scope?,
        created_since: created_since?,
        created_before: created_before?,
        expiring_within: expiring_within.map_or(Some(None), |within| within.map(Some))?,
        unused_since: unused_since?,
        never_used: filter.never_used,
        rotation_due: filter.rotation_due,
        superseded_use_since: superseded_use_since?,
    })
}

const TOKEN_PATHS: [&str; 8] =
    ["name", "description", "type", "scopes", "audiences", "allowed_cidrs", "metadata", "expire_time"];

pub(super) fn update_token(request: v1::UpdateTokenRequest) -> Result<TokenChange, Error> {
    let mut fields = Fields::default();
    let Some(token) = request.token else { return Err(Error::field("token", Invalid::Missing)) };
    let id = fields.take("token.id", TokenId::parse(&token.id));
    let initiator = fields.optional("initiator", request.initiator, Initiator::parse);
    let precondition = precondition(token.etag.clone());
    let set: Vec<&str> = TOKEN_PATHS.into_iter().filter(|path| is_set(&token, path)).collect();
    let paths = mask(&mut fields, request.update_mask, &TOKEN_PATHS, &set);
    let edit = paths.and_then(|paths| token_edit(&mut fields, token, &paths));
    let words = || Some(TokenChange { id: id?, precondition, edit: edit?, initiator: initiator? });
    fields.finish(words())
}

fn is_set(token: &v1::Token, path: &str) -> bool {
    match path {
        "name" => !token.name.is_empty(),
        "description" => !token.description.is_empty(),
        "type" => token.r#type != 0,
        "scopes" => !token.scopes.is_empty(),
        "audiences" => !token.audiences.is_empty(),
        "allowed_cidrs" => !token.allowed_cidrs.is_empty(),
        "metadata" => !token.metadata.is_empty(),
        "expire_time" => token.expire_time.is_some(),
        _ => false,
    }
}

fn token_edit(fields: &mut Fields, token: v1::Token, paths: &[&str]) -> Option<TokenEdit> {
    let mut edit = TokenEdit::default();
    if paths.contains(&"name") {
        edit.name = Some(fields.take("token.name", Name::parse(token.name))?);
    }
    if paths.contains(&"description") {
        edit.description = Some(fields.take("token.description", Description::parse(token.description))?);
    }
    if paths.contains(&"scopes") {
        edit.scopes = Some(fields.scopes("token.scopes", token.scopes)?);
    }
    if paths.contains(&"type") {
        edit.token_type = fields.token_type("token.type", token.r#type)?;
    }
    if paths.contains(&"audiences") {
        edit.audiences = Some(fields.audiences("token.audiences", token.audiences)?);
    }
    if paths.contains(&"allowed_cidrs") {
        edit.allowed_cidrs = Some(fields.cidrs("token.allowed_cidrs", token.allowed_cidrs)?);
    }
    if paths.contains(&"metadata") {
        edit.metadata = Some(fields.metadata("token.metadata", token.metadata)?);
    }
    if paths.contains(&"expire_time") {
        let expiry = token.expire_time.map(|time| fields.expire_time("token.expire_time", time));
        edit.expiry = Some(expiry.unwrap_or(Some(Expiry::Never))?);
    }
    Some(edit)
}

/// What an update mask names: `*` names all, no mask names what is set.
fn mask<'path>(
    fields: &mut Fields,
    mask: Option<FieldMask>,
    known: &'path [&'path str],
    set: &[&'path str],
) -> Option<Vec<&'path str>> {
    let paths = mask.unwrap_or_default().paths;
    if paths.is_empty() {
        return Some(set.to_vec());
    }
    if paths == ["*"] {
        return Some(known.to_vec());
    }
    if paths.len() > known.len() {
        fields.note("update_mask.paths", Invalid::TooMany { limit: known.len() });
        return None;
    }
    let named: Vec<Option<&str>> = paths
        .iter()
        .enumerate()
        .map(|(position, path)| {
            let found = known.iter().find(|known| *known == path).copied();
            let found = found.ok_or(Invalid::Malformed("a field that can be edited, or '*' alone"));
            fields.take(&format!("update_mask.paths[{position}]"), found)
        })
        .collect();
    named.into_iter().collect()
}

fn precondition(etag: String) -> Precondition {
    if etag.is_empty() || etag == "*" { Precondition::Any } else { Precondition::Match(etag) }
}

pub(super) fn regenerate_token(request: v1::RegenerateTokenRequest) -> Result<Regeneration, Error> {
    use v1::regenerate_token_request::Expiration;
    let mut fields = Fields::default();
    let id = fields.take("id", TokenId::parse(&request.id));
    let initiator = fields.optional("initiator", request.initiator, Initiator::parse);
    if request.etag.is_empty() {
        fields.note("etag", Invalid::Missing);
    }
    let precondition = precondition(request.etag);
    let expiry = match request.expiration {
        None => Some(None),
        Some(Expiration::ExpireTime(time)) => fields.expire_time("expire_time", time).map(Some),
        Some(Expiration::Lifetime(lifetime)) => fields.lifetime("lifetime", lifetime).map(Some),
        Some(Expiration::NeverExpires(said)) => fields.never("never_expires", said).map(Some),
    };
    let overlap = fields.overlap("overlap", request.overlap);
    let words = || {
        Some(Regeneration {
            id: id?,
            precondition,
            initiator: initiator?,
            expiry: expiry?,
            overlap: overlap?,
        })
    };
    fields.finish(words())
}

pub(super) fn end_overlap(request: v1::EndOverlapRequest) -> Result<OverlapEnd, Error> {
    let mut fields = Fields::default();
    let id = fields.take("id", TokenId::parse(&request.id));
    let initiator = fields.optional("initiator", request.initiator, Initiator::parse);
    let precondition = precondition(request.etag);
    let awaited = fields.awaited(request.wait);
    let words = || Some(OverlapEnd { id: id?, precondition, initiator: initiator?, awaited: awaited? });
    fields.finish(words())
}

pub(super) fn revoke_token(request: v1::RevokeTokenRequest) -> Result<Revocation, Error> {
    let mut fields = Fields::default();
    let id = fields.take("id", TokenId::parse(&request.id));
    let reason = fields.take("reason", Reason::parse(request.reason));
    let initiator = fields.optional("initiator", request.initiator, Initiator::parse);
    let precondition = precondition(request.etag);
    let awaited = fields.awaited(request.wait);
    let words = || {
        Some(Revocation { id: id?, precondition, reason: reason?, initiator: initiator?, awaited: awaited? })
    };
    fields.finish(words())
}

pub(super) fn suspend_token(request: v1::SuspendTokenRequest) -> Result<Suspension, Error> {
    let mut fields = Fields::default();
    let id = fields.take("id", TokenId::parse(&request.id));
    let reason = fields.take("reason", Reason::parse(request.reason)).map(Some);
    let initiator = fields.optional("initiator", request.initiator, Initiator::parse);
    let precondition = precondition(request.etag);
    let awaited = fields.awaited(request.wait);
    let words = || {
        Some(Suspension { id: id?, precondition, reason: reason?, initiator: initiator?, awaited: awaited? })
    };
    fields.finish(words())
}

pub(super) fn resume_token(request: v1::ResumeTokenRequest) -> Result<Suspension, Error> {
    let mut fields = Fields::default();
    let id = fields.take("id", TokenId::parse(&request.id));
    let initiator = fields.optional("initiator", request.initiator, Initiator::parse);
    let precondition = precondition(request.etag);
    let words =
        || Some(Suspension { id: id?, precondition, reason: None, initiator: initiator?, awaited: false });
    fields.finish(words())
}

pub(super) fn wait_for_revision(request: v1::WaitForRevisionRequest) -> Result<Revision, Error> {
    let wanted = Invalid::Malformed("a revision that a mutation answered: 1 or more");
    if request.revision < 1 { Err(Error::field("revision", wanted)) } else { Ok(Revision(request.revision)) }
}

pub(super) fn watch_revocations(request: v1::WatchRevocationsRequest) -> Result<WatchRequest, Error> {
    let mut fields = Fields::default();
    let workspace = fields.optional("workspace", request.workspace, WorkspaceId::parse);
    let cursor = Some(request.cursor).filter(|cursor| !cursor.is_empty());
    let words = || Some(WatchRequest { workspace: workspace?, cursor });
    fields.finish(words())
}
