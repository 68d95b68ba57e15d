//! The requests of `AuditService`, parsed.

use uuid::Uuid;

use super::Fields;
use crate::audit::Filter;
use crate::proto::v1;
use crate::service::{AuditPageRequest, Error};
use crate::text::{Initiator, Invalid, PrincipalId};
use crate::token::TokenId;
use crate::workspace::WorkspaceId;

pub(in crate::rpc) fn list_audit_events(
    request: v1::ListAuditEventsRequest,
) -> Result<AuditPageRequest, Error> {
    let mut fields = Fields::default();
    let workspace = fields.optional("workspace", request.workspace, WorkspaceId::parse);
    let filter = filter(&mut fields, request.filter.unwrap_or_default());
    let size = fields.page_size(request.page_size);
    let after = (!request.page_token.is_empty()).then_some(request.page_token);
    let words = || Some(AuditPageRequest { workspace: workspace?, filter: filter?, size: size?, after });
    fields.finish(words())
}

fn filter(fields: &mut Fields, filter: v1::AuditFilter) -> Option<Filter> {
    let action = fields.optional("filter.action", filter.action, action);
    let caller = fields.optional("filter.caller", filter.caller, |text| token(&text));
    let initiator = fields.optional("filter.initiator", filter.initiator, Initiator::parse);
    let token = fields.optional("filter.token_id", filter.token_id, |text| token(&text));
    let principal = fields.optional("filter.principal", filter.principal, PrincipalId::parse);
    let since = filter.since.map(|time| fields.time("filter.since", time));
    let before = filter.before.map(|time| fields.time("filter.before", time));
    Some(Filter {
        action: action?,
        caller: caller?,
        initiator: initiator?.map(Initiator::into_string),
        token: token?,
        principal: principal?,
        refused: filter.refused,
        since: since.map_or(Some(None), |time| time.map(Some))?,
        before: before.map_or(Some(None), |time| time.map(Some))?,
    })
}

fn action(text: String) -> Result<String, Invalid> {
    let wanted = Invalid::Malformed("the name of an RPC in snake case, like create_token");
    let known = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'.');
    if text.len() <= 64 && text.bytes().all(known) { Ok(text) } else { Err(wanted) }
}

fn token(text: &str) -> Result<TokenId, Invalid> {
    let wanted = Invalid::Malformed("the id of a token, a UUID");
    Uuid::try_parse(text).map(TokenId::from_uuid).map_err(|_| wanted)
}
