//! From the wire of the servers to the words of the domain. What cannot be read is never guessed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::introspection::{Extras, InactiveReason, Record, StoredTime};
use crate::keyring::{TagKey, TagKeys};
use crate::profile::{Audience, ProfileName, TokenType};
use crate::proto::v1;
use crate::revocation::{Change, Event, HistoryId, NewEvent, Position, TokenChange};
use crate::text::{Handle, Initiator, Invalid, Metadata, Name, PrincipalId, Reason};
use crate::token::{Audiences, Cidr, Cidrs, ExternalId, Generation, Kid, Revision, Scope, ScopeSet, TokenId};
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
    let time = SystemTime::try_from(told.event_time?).ok()?;
    let event = NewEvent { initiator: Initiator::parse(told.initiator.clone()).ok()?, change: change(told)? };
    Some(Event { revision, time, event, awaited: false })
}

/// What happened; `None` also if it is of a kind that is not known yet, since nobody can say what it concerns.
fn change(told: v1::RevocationEvent) -> Option<Change> {
    use v1::RevocationKind as Kind;
    let kind = told.kind();
    let (workspace, reason) = (|| WorkspaceId::parse(told.workspace).ok(), Reason::parse(told.reason));
    let what = match kind {
        Kind::Unspecified => return None,
        Kind::Revoked => TokenChange::Revoked { reason: reason.ok()? },
        Kind::SecretReplaced => {
            // What cannot be read must not become none.
            let end = told.overlap_end_time.map(|end| SystemTime::try_from(end).ok().ok_or(()));
            TokenChange::SecretReplaced { overlap_end: end.transpose().ok()? }
        }
        Kind::Updated => TokenChange::Updated,
        Kind::Suspended => TokenChange::Suspended { reason: reason.ok()? },
        Kind::Resumed => TokenChange::Resumed,
        Kind::BulkRevoked => {
            let ids = told.token_ids.iter().map(|id| TokenId::parse(id));
            let tokens: Vec<TokenId> = ids.collect::<Result<_, _>>().ok()?;
            let tokens = Some(tokens).filter(|tokens| !tokens.is_empty());
            return Some(Change::BulkRevoked { workspace: workspace()?, tokens, reason: reason.ok()? });
        }
        Kind::PrincipalChanged => {
            let principal = PrincipalId::parse(told.principal).ok()?;
            return Some(Change::PrincipalChanged { workspace: workspace()?, principal });
        }
        Kind::WorkspaceInvalidated => {
            return Some(Change::WorkspaceInvalidated { workspace: workspace()?, reason: reason.ok()? });
        }
        Kind::WorkspaceUpdated => return Some(Change::WorkspaceUpdated { workspace: workspace()? }),
        Kind::ProfileUpdated => {
            return Some(Change::ProfileUpdated { profile: ProfileName::parse(told.profile).ok()? });
        }
        Kind::KeyRetired => return Some(Change::KeyRetired { kid: Kid::parse(&told.kid)? }),
    };
    let token = TokenId::parse(&told.token_id).ok()?;
    Some(Change::Token { workspace: workspace()?, token, generation: Generation(told.generation), what })
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
    let audiences = told.audiences.iter().cloned().map(Audience::parse).collect::<Result<_, _>>().ok()?;
    let blocks = told.allowed_cidrs.iter().map(|block| Cidr::parse(block)).collect::<Result<_, _>>().ok()?;
    let external_id = Some(told.external_id).filter(|number| *number != 0);
    let token_type = token_type(v1::TokenType::try_from(told.r#type).ok()?);
    let time = |time: prost_types::Timestamp| SystemTime::try_from(time).ok().map(StoredTime::from);
    let extras = Extras {
        audiences: Audiences::new(audiences).ok()?,
        allowed_cidrs: Cidrs::new(blocks).ok()?,
        metadata: Metadata::parse(told.metadata).ok()?,
    };
    Some(Record {
        id: TokenId::parse(&told.token_id).ok()?,
        workspace: WorkspaceId::parse(told.workspace).ok()?.into(),
        name: Name::parse(told.name).ok()?,
        principal: unless_empty(told.principal, PrincipalId::parse)?.map(Arc::new),
        username: unless_empty(told.username, Handle::parse)?.map(Arc::new),
        token_type,
        scopes: ScopeSet::effective(scopes).ok()?.into(),
        external_id: external_id.map(ExternalId::parse).transpose().ok()?,
        profile: unless_empty(told.profile, ProfileName::parse)?.map(Arc::new),
        extras: Arc::new(extras),
        // What cannot be read must not become never.
        expire_time: told.expire_time.map(|end| time(end).ok_or(())).transpose().ok()?,
        create_time: time(told.create_time?)?,
        generation: Generation(told.generation),
        revision: Revision(told.revision),
    })
}

/// What a text says that may say nothing; the outer `None` is one that cannot be read.
#[expect(clippy::option_option, reason = "unreadable, absent and there are three things")]
fn unless_empty<Word>(text: String, parse: fn(String) -> Result<Word, Invalid>) -> Option<Option<Word>> {
    if text.is_empty() { Some(None) } else { parse(text).ok().map(Some) }
}

/// The type of a record; servers of before tell none, and know no other.
const fn token_type(told: v1::TokenType) -> TokenType {
    match told {
        v1::TokenType::ReadOnly => TokenType::ReadOnly,
        v1::TokenType::FullAccess => TokenType::FullAccess,
        v1::TokenType::Custom | v1::TokenType::Unspecified => TokenType::Custom,
    }
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
        v1::InactiveReason::Invalidated => Some(InactiveReason::Invalidated),
        v1::InactiveReason::PrincipalDisabled => Some(InactiveReason::PrincipalDisabled),
        v1::InactiveReason::Suspended => Some(InactiveReason::Suspended),
        v1::InactiveReason::OtherAudience => Some(InactiveReason::OtherAudience),
        v1::InactiveReason::OtherAddress => Some(InactiveReason::OtherAddress),
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

    /// The session then ends, and everything that is known is unverified.
    #[test]
    fn an_event_of_a_kind_from_the_future_is_not_read_as_if_it_concerned_one_token() {
        assert!(with(|event| event.kind = 99).is_none());
    }

    #[test]
    fn an_event_that_concerns_many_tokens_names_whose() {
        let read = with(|event| {
            event.kind = v1::RevocationKind::PrincipalChanged.into();
            event.token_id.clear();
            event.principal = "mia".to_owned();
        });
        let Some(Frame::Event(event)) = read else { panic!("{read:?}") };
        assert!(matches!(event.event.change, Change::PrincipalChanged { .. }));
        assert!(with(|event| event.kind = v1::RevocationKind::KeyRetired.into()).is_none(), "of which key?");
    }

    /// None at all means that any of the workspace may be one; one that cannot be read must not be left out.
    #[test]
    fn an_event_that_ends_many_tokens_names_each_or_none() {
        let bulk = |ids: Vec<String>| {
            with(|event| {
                event.kind = v1::RevocationKind::BulkRevoked.into();
                event.token_id.clear();
                event.token_ids = ids.clone();
            })
        };
        let ids = [TokenId::generate(), TokenId::generate()];
        let read = bulk(ids.iter().map(ToString::to_string).collect());
        let Some(Frame::Event(event)) = read else { panic!("{read:?}") };
        assert_eq!(event.event.change.tokens(), ids);
        let read = bulk(Vec::new());
        let Some(Frame::Event(event)) = read else { panic!("{read:?}") };
        assert!(matches!(event.event.change, Change::BulkRevoked { tokens: None, .. }));
        assert!(bulk(vec![ids[0].to_string(), "another".to_owned()]).is_none());
    }

    #[test]
    fn an_event_that_names_no_token_is_not_passed_over() {
        assert!(with(|event| event.token_id.clear()).is_none());
        assert!(frame(v1::WatchRevocationsResponse { frame: None, ..revoked() }).is_none());
    }
}
