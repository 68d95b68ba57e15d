//! Requests to judge presented tokens, one or many.

use secrecy::SecretString;

use super::Fields;
use super::sidecars::MOST_TOKENS;
use crate::defect::{Defect, seeded};
use crate::introspection::{Freshness, Introspection, Place};
use crate::profile::Audience;
use crate::proto::v1;
use crate::service::Error;
use crate::text::Invalid;
use crate::token::Revision;
use crate::workspace::WorkspaceId;

/// What is asked about a presented token, and what of it the answer shall carry.
pub(crate) struct Asked {
    pub(crate) introspection: Introspection,
    pub(crate) include_metadata: bool,
}

/// Several, each of which may be one that cannot be taken.
pub(crate) struct Batch(pub(crate) Vec<Result<Asked, Error>>);

impl Batch {
    /// Those that can be taken.
    pub(crate) fn introspections(&self) -> Vec<&Introspection> {
        self.0.iter().flatten().map(|asked| &asked.introspection).collect()
    }
}

pub(crate) fn introspect_tokens(request: v1::BatchIntrospectTokensRequest) -> Result<Batch, Error> {
    let mut fields = Fields::default();
    fields.count("requests", request.requests.len(), MOST_TOKENS);
    let asked = request.requests.into_iter().take(MOST_TOKENS).map(introspect_token).collect();
    fields.finish(Some(Batch(asked)))
}

pub(crate) fn introspect_token(request: v1::IntrospectTokenRequest) -> Result<Asked, Error> {
    let mut fields = Fields::default();
    if request.token.is_empty() {
        fields.note("token", Invalid::Missing);
    }
    let presented = SecretString::from(request.token);
    let workspace = fields.optional("workspace", request.workspace, WorkspaceId::parse);
    let required_scopes = fields.scope_list("required_scopes", request.required_scopes);
    let audience = fields.optional("audience", request.audience, Audience::parse);
    let address = fields.optional("client_address", request.client_address, |text| {
        text.parse().map_err(|_| Invalid::Malformed("an IPv4 or IPv6 address"))
    });
    let strong = request.strong && !seeded(Defect::StrongIsLeased);
    let least = if seeded(Defect::MinRevisionIgnored) { 0 } else { request.min_revision };
    let freshness = match (strong, least) {
        (true, _) => Freshness::Strong,
        (false, 0) => Freshness::Leased,
        (false, revision) => Freshness::AtLeast(Revision(revision)),
    };
    if request.min_revision < 0 {
        fields.note("min_revision", Invalid::Malformed("0 or more"));
    }
    let words = || {
        let (workspace, required_scopes) = (workspace?, required_scopes?);
        let place = Place { audience: audience?, address: address? };
        Some(Introspection { presented, workspace, place, required_scopes, freshness })
    };
    let include_metadata = request.include_metadata;
    Ok(Asked { introspection: fields.finish(words())?, include_metadata })
}
