//! Requests about the audit trail.

use super::timestamp;
use crate::proto::v1;
use crate::settings::client::audit::List;

/// A request for the page after this one.
pub(in crate::cli) fn list(said: &List, page_size: i32, page_token: String) -> v1::ListAuditEventsRequest {
    let filter = v1::AuditFilter {
        action: said.action.clone(),
        caller: said.caller.clone(),
        initiator: said.initiator.clone(),
        token_id: said.token.clone(),
        principal: said.principal.clone(),
        refused: said.refused,
        since: said.since.map(timestamp),
        before: said.before.map(timestamp),
    };
    v1::ListAuditEventsRequest {
        workspace: said.workspace.clone(),
        filter: Some(filter),
        page_size,
        page_token,
    }
}
