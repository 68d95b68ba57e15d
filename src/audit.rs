//! The vocabulary of the audit: who did what, or was refused it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

use uuid::Uuid;

use crate::request::RequestDigest;
use crate::text::{Initiator, PrincipalId};
use crate::token::{Revision, TokenId};
use crate::workspace::WorkspaceId;

/// What was done: a mutation by its RPC or command, or for a refusal what would have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Action(&'static str);

impl Action {
    /// One of ours: up to 64 of `a-z`, `_` and `.`.
    #[must_use]
    pub const fn known(name: &'static str) -> Self {
        Self(name)
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// The trace that a call is part of, as `traceparent` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// Takes it out of a `traceparent` of W3C's Trace Context; what is not one names no trace.
    #[must_use]
    pub fn of_traceparent(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let (version, trace) = (parts.next()?, parts.next()?);
        let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if version.len() != 2 || !is_hex(version) || version == "ff" || trace.len() != 32 || !is_hex(trace) {
            return None;
        }
        let number = u128::from_str_radix(trace, 16).ok().filter(|number| *number != 0)?;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// Where a request came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Origin {
    /// The peer's address; a Unix socket has none.
    pub address: Option<IpAddr>,
    /// The trace it is part of.
    pub trace: Option<TraceId>,
}

/// What an action concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// The workspace.
    pub workspace: Option<WorkspaceId>,
    /// The token.
    pub token: Option<TokenId>,
    /// The principal.
    pub principal: Option<PrincipalId>,
}

/// What was decided, in fields that are known to hold no secret.
pub type Details = BTreeMap<&'static str, String>;

/// Something that was done or refused, before it is written.
#[derive(Debug, Clone)]
pub struct Entry {
    /// A UUID of version 7.
    pub id: Uuid,
    /// What.
    pub action: Action,
    /// By whose token, if one was proved.
    pub caller: Option<TokenId>,
    /// On whose behalf.
    pub initiator: Option<Initiator>,
    /// To what.
    pub subject: Subject,
    /// Why it was refused, by the name of the reason, if it was.
    pub refusal: Option<&'static str>,
    /// From where.
    pub origin: Origin,
    /// What recognises the request, if it had an id.
    pub request: Option<RequestDigest>,
    /// The revision of the change; zero if it took none.
    pub revision: Revision,
    /// What was decided.
    pub details: Details,
}

/// An entry as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// A UUID of version 7.
    pub id: Uuid,
    /// When, by the database's clock.
    pub time: SystemTime,
    /// What.
    pub action: String,
    /// By whose token.
    pub caller: Option<TokenId>,
    /// On whose behalf.
    pub initiator: Option<String>,
    /// To what.
    pub subject: Subject,
    /// Why it was refused.
    pub refusal: Option<String>,
    /// From where.
    pub address: Option<String>,
    /// In hexadecimal digits.
    pub request_digest: Option<String>,
    /// In hexadecimal digits.
    pub trace: Option<String>,
    /// The revision of the change.
    pub revision: Revision,
    /// What was decided.
    pub details: BTreeMap<String, String>,
}

/// What events must satisfy; every field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this action.
    pub action: Option<String>,
    /// Of this caller.
    pub caller: Option<TokenId>,
    /// On behalf of this one.
    pub initiator: Option<String>,
    /// Concerning this token.
    pub token: Option<TokenId>,
    /// Concerning this principal.
    pub principal: Option<PrincipalId>,
    /// Only refusals.
    pub refused: bool,
    /// At this moment or later.
    pub since: Option<SystemTime>,
    /// Before this moment.
    pub before: Option<SystemTime>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_taken_from_what_the_standard_says_and_from_nothing_else() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let told = |header: &str| TraceId::of_traceparent(header).map(|trace| trace.to_string());
        assert_eq!(told(&format!("00-{trace}-00f067aa0ba902b7-01")).as_deref(), Some(trace));
        for wrong in [
            String::new(),
            trace.to_owned(),
            format!("ff-{trace}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            "00-4bf92f-00f067aa0ba902b7-01".to_owned(),
        ] {
            assert_eq!(told(&wrong), None, "{wrong}");
        }
    }
}
