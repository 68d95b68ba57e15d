//! Which tokens a list shows.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Scope, TokenState};
use crate::text::{NamePrefix, PrincipalId};

/// What a token must satisfy to be listed: every field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenFilter {
    /// In one of these states; in any if empty.
    pub states: BTreeSet<TokenState>,
    /// Acting for exactly this principal.
    pub principal: Option<PrincipalId>,
    /// With a name that begins like this, case-sensitively.
    pub name_prefix: Option<NamePrefix>,
    /// Carrying exactly this scope, as written.
    pub scope: Option<Scope>,
    /// Not yet expired, and to expire within this time from now.
    pub expiring_within: Option<Duration>,
    /// Last used before this moment, or never used and created before it.
    pub unused_since: Option<SystemTime>,
    /// Never used.
    pub never_used: bool,
}

impl TokenFilter {
    /// The filter as a text, the same for the same filter and for no other.
    #[must_use]
    pub fn canonical(&self) -> String {
        let Self { states, principal, name_prefix, scope, expiring_within, unused_since, never_used } = self;
        let state = |state: &TokenState| match state {
            TokenState::Active => 'a',
            TokenState::Expired => 'e',
            TokenState::Revoked => 'r',
            TokenState::Invalidated => 'i',
            TokenState::Suspended => 's',
        };
        let states: String = states.iter().map(state).collect();
        let microseconds =
            |time: &SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        // None of the texts may hold the character that parts them.
        let parts = [
            states,
            principal.as_ref().map(ToString::to_string).unwrap_or_default(),
            name_prefix.as_ref().map(ToString::to_string).unwrap_or_default(),
            scope.as_ref().map(ToString::to_string).unwrap_or_default(),
            expiring_within.map(|within| within.as_nanos().to_string()).unwrap_or_default(),
            unused_since.as_ref().map(|since| microseconds(since).to_string()).unwrap_or_default(),
            never_used.to_string(),
        ];
        parts.join("\0")
    }
}
