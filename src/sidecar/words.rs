//! From the wire of the servers to the words of the domain. What cannot be read is never guessed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::introspection::{InactiveReason, Record};
use crate::keyring::{TagKey, TagKeys};
use crate::proto::v1;
use crate::revocation::{Change, Event, HistoryId, NewEvent, Position};
use crate::text::{Initiator, Metadata, Name, Principal, RevokeReason};
use crate::token::{Generation, Kid, Revision, Scope, ScopeSet, TokenId};
use crate::workspace::WorkspaceId;

/// One frame of the stream.
#[derive(Debug)]
pub(super) enum Frame {
    /// A change.
    Event(Event),
    /// Nothing up to its revision is still to come.
    Progress,
}

/// What a server says of a presented token, or of one that was resolved before.
#[derive(Debug)]
pub(super) enum Resolution {
    /// A live token, and how long it lives on; `None` for ever.
    Live(Arc<Record>, Option<Duration>),
    /// Not live; the reason if it is told.
    Inactive(Option<InactiveReason>),
    /// Nobody knows now.
    Failed(v1::IntrospectionFailure),
}

/// How long a lease lasts, and what it needs.
pub(super) fn lease(granted: &v1::RenewLeaseResponse) -> Option<(Duration, Position)> {
    let history = HistoryId(Uuid::try_parse(&granted.history).ok()?);
    let length = granted.lease_length.and_then(|length| Duration::try_from(length).ok())?;
    Some((length, Position { history, revision: Revision(granted.revision) }))
}

pub(super) fn tag_keys(keys: Vec<v1::TagKey>) -> Option<TagKeys> {
    let key = |key: v1::TagKey| {
        let bytes = Zeroizing::new(key.key);
        let bytes: [u8; 64] = bytes.as_slice().try_into().ok()?;
        Some((Kid::parse(&key.kid)?, TagKey::new(Zeroizing::new(bytes))))
    };
    keys.into_iter().map(key).collect()
}

pub(super) fn frame(frame: v1::WatchRevocationsResponse) -> Option<Frame> {
    use v1::watch_revocations_response::Frame as Wire;
    match frame.frame? {
        Wire::Progress(_) => Some(Frame::Progress),
        Wire::Event(told) => event(Revision(frame.revision), told).map(Frame::Event),
    }
}

fn event(revision: Revision, told: v1::RevocationEvent) -> Option<Event> {
    let change = match told.kind() {
        v1::RevocationKind::Revoked => Change::Revoked { reason: RevokeReason::parse(told.reason).ok()? },
        v1::RevocationKind::SecretReplaced => Change::SecretReplaced,
        // Of a kind that is not known yet: whatever it was, what is known of the token is old.
        v1::RevocationKind::Updated | v1::RevocationKind::Unspecified => Change::Updated,
    };
    let event = NewEvent {
        change,
        workspace: WorkspaceId::parse(told.workspace).ok()?,
        token: TokenId::parse(&told.token_id).ok()?,
        generation: Generation(told.generation),
        initiator: Initiator::parse(told.initiator).ok()?,
    };
    Some(Event { revision, time: SystemTime::try_from(told.event_time?).ok()?, event, awaited: false })
}

/// What one resolution says; `None` if it cannot be read.
pub(super) fn resolution(resolution: v1::TokenResolution) -> Option<Resolution> {
    use v1::token_resolution::Resolution as Wire;
    Some(match resolution.resolution? {
        Wire::Record(told) => {
            let left = told.expires_in.map(|left| Duration::try_from(left).unwrap_or_default());
            Resolution::Live(Arc::new(record(told)?), left)
        }
        Wire::Inactive(reason) => Resolution::Inactive(inactive_reason(reason)),
        Wire::Failure(failure) => Resolution::Failed(failure),
    })
}

fn record(told: v1::TokenRecord) -> Option<Record> {
    let scopes = told.scopes.into_iter().map(Scope::parse).collect::<Result<_, _>>().ok()?;
    let principal = Some(told.principal).filter(|principal| !principal.is_empty());
    let time = |time: prost_types::Timestamp| SystemTime::try_from(time).ok();
    Some(Record {
        id: TokenId::parse(&told.token_id).ok()?,
        workspace: WorkspaceId::parse(told.workspace).ok()?,
        name: Name::parse(told.name).ok()?,
        principal: principal.map(Principal::parse).transpose().ok()?,
        scopes: ScopeSet::new(scopes).ok()?,
        metadata: Metadata::parse(told.metadata).ok()?,
        // What cannot be read must not become never.
        expire_time: told.expire_time.map(|end| time(end).ok_or(())).transpose().ok()?,
        create_time: time(told.create_time?)?,
        generation: Generation(told.generation),
        revision: Revision(told.revision),
    })
}

/// A reason that is not known yet is not told.
fn inactive_reason(reason: i32) -> Option<InactiveReason> {
    match v1::InactiveReason::try_from(reason).unwrap_or_default() {
        v1::InactiveReason::Unspecified => None,
        v1::InactiveReason::Malformed => Some(InactiveReason::Malformed),
        v1::InactiveReason::Forged => Some(InactiveReason::Forged),
        v1::InactiveReason::Unknown => Some(InactiveReason::Unknown),
        v1::InactiveReason::OtherWorkspace => Some(InactiveReason::OtherWorkspace),
        v1::InactiveReason::Expired => Some(InactiveReason::Expired),
        v1::InactiveReason::Revoked => Some(InactiveReason::Revoked),
        v1::InactiveReason::Superseded => Some(InactiveReason::Superseded),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revoked() -> v1::WatchRevocationsResponse {
        let event = v1::RevocationEvent {
            kind: v1::RevocationKind::Revoked.into(),
            workspace: "acme".to_owned(),
            token_id: TokenId::generate().to_string(),
            generation: 1,
            initiator: "somebody".to_owned(),
            event_time: Some(SystemTime::UNIX_EPOCH.into()),
            ..Default::default()
        };
        let frame = Some(v1::watch_revocations_response::Frame::Event(event));
        v1::WatchRevocationsResponse { frame, cursor: "cursor".to_owned(), revision: 7 }
    }

    fn with(edit: impl Fn(&mut v1::RevocationEvent)) -> Option<Frame> {
        let mut told = revoked();
        if let Some(v1::watch_revocations_response::Frame::Event(event)) = &mut told.frame {
            edit(event);
        }
        frame(told)
    }

    #[test]
    fn an_event_of_a_kind_from_the_future_still_ends_what_is_known_of_its_token() {
        let read = with(|event| event.kind = 99);
        let Some(Frame::Event(event)) = read else { panic!("{read:?}") };
        assert_eq!((event.revision, event.event.change), (Revision(7), Change::Updated));
    }

    #[test]
    fn an_event_that_names_no_token_is_not_passed_over() {
        assert!(with(|event| event.token_id.clear()).is_none());
        assert!(frame(v1::WatchRevocationsResponse { frame: None, ..revoked() }).is_none());
    }
}
