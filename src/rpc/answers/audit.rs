//! The answers of `AuditService`.

use crate::audit::Event;
use crate::proto::v1;
use crate::service::Page;

pub(in crate::rpc) fn page(page: Page<Event>) -> v1::ListAuditEventsResponse {
    let events = page.items.into_iter().map(event).collect();
    v1::ListAuditEventsResponse { events, next_page_token: page.next.unwrap_or_default() }
}

fn event(event: Event) -> v1::AuditEvent {
    let subject = event.subject;
    v1::AuditEvent {
        id: event.id.to_string(),
        event_time: Some(event.time.into()),
        action: event.action,
        workspace: subject.workspace.map(|id| id.to_string()).unwrap_or_default(),
        caller: event.caller.map(|id| id.to_string()).unwrap_or_default(),
        initiator: event.initiator.unwrap_or_default(),
        token_id: subject.token.map(|id| id.to_string()).unwrap_or_default(),
        principal: subject.principal.map(|id| id.to_string()).unwrap_or_default(),
        refusal: event.refusal.unwrap_or_default(),
        peer_address: event.address.unwrap_or_default(),
        request_digest: event.request_digest.unwrap_or_default(),
        trace_id: event.trace.unwrap_or_default(),
        revision: event.revision.0,
        details: event.details,
    }
}
