//! Which tokens a list shows.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Scope, TokenState};
use crate::profile::{PrincipalKind, TokenType};
use crate::text::{Initiator, NamePrefix, PrincipalId};

/// What a token must satisfy to be listed: every field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenFilter {
    /// In one of these states; in any if empty.
    pub states: BTreeSet<TokenState>,
    /// Acting for exactly this principal.
    pub principal: Option<PrincipalId>,
    /// Acting for a principal of this kind.
    pub principal_kind: Option<PrincipalKind>,
    /// Created on behalf of exactly this one.
    pub creator: Option<Initiator>,
    /// Of this type.
    pub token_type: Option<TokenType>,
    /// With a name that begins like this, case-sensitively.
    pub name_prefix: Option<NamePrefix>,
    /// Carrying exactly this scope, as written.
    pub scope: Option<Scope>,
    /// Created at this moment or later.
    pub created_since: Option<SystemTime>,
    /// Created before this moment.
    pub created_before: Option<SystemTime>,
    /// Not yet expired, and to expire within this time from now.
    pub expiring_within: Option<Duration>,
    /// Last used before this moment, or never used and created before it.
    pub unused_since: Option<SystemTime>,
    /// Never used.
    pub never_used: bool,
    /// With a secret that is due to be replaced, by the advice of the workspace's profile.
    pub rotation_due: bool,
    /// With a dead secret that was presented at this moment or later.
    pub superseded_use_since: Option<SystemTime>,
}

impl TokenFilter {
    /// The filter as a text, the same for the same filter and for no other.
    #[must_use]
    pub fn canonical(&self) -> String {
        let moment = |time: &Option<SystemTime>| time.map(microseconds).unwrap_or_default();
        // None of the texts may hold the character that parts them.
        let parts = [
            self.states.iter().copied().map(state_letter).collect(),
            self.principal.as_ref().map(ToString::to_string).unwrap_or_default(),
            self.principal_kind.as_ref().map(ToString::to_string).unwrap_or_default(),
            self.creator.as_ref().map(ToString::to_string).unwrap_or_default(),
            self.token_type.as_ref().map(ToString::to_string).unwrap_or_default(),
            self.name_prefix.as_ref().map(ToString::to_string).unwrap_or_default(),
            self.scope.as_ref().map(ToString::to_string).unwrap_or_default(),
            moment(&self.created_since),
            moment(&self.created_before),
            self.expiring_within.map(|within| within.as_nanos().to_string()).unwrap_or_default(),
            moment(&self.unused_since),
            self.never_used.to_string(),
            self.rotation_due.to_string(),
            moment(&self.superseded_use_since),
        ];
        parts.join("\0")
    }
}

const fn state_letter(state: TokenState) -> char {
    match state {
        TokenState::Active => 'a',
        TokenState::Expired => 'e',
        TokenState::Revoked => 'r',
        TokenState::Invalidated => 'i',
        TokenState::Suspended => 's',
    }
}

fn microseconds(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_that_differ_in_one_field_have_different_texts() {
        let none = TokenFilter::default;
        let time = Some(UNIX_EPOCH + Duration::from_secs(1));
        let filters = [
            none(),
            TokenFilter { states: [TokenState::Active].into(), ..none() },
            TokenFilter { states: [TokenState::Suspended].into(), ..none() },
            TokenFilter { principal: PrincipalId::parse("a".to_owned()).ok(), ..none() },
            TokenFilter { principal_kind: Some(PrincipalKind::User), ..none() },
            TokenFilter { creator: Initiator::parse("a".to_owned()).ok(), ..none() },
            TokenFilter { token_type: Some(TokenType::Custom), ..none() },
            TokenFilter { name_prefix: NamePrefix::parse("a".to_owned()).ok(), ..none() },
            TokenFilter { scope: Scope::parse("a".to_owned()).ok(), ..none() },
            TokenFilter { created_since: time, ..none() },
            TokenFilter { created_before: time, ..none() },
            TokenFilter { expiring_within: Some(Duration::from_secs(1)), ..none() },
            TokenFilter { unused_since: time, ..none() },
            TokenFilter { never_used: true, ..none() },
            TokenFilter { rotation_due: true, ..none() },
            TokenFilter { superseded_use_since: time, ..none() },
        ];
        let texts: BTreeSet<String> = filters.iter().map(TokenFilter::canonical).collect();
        assert_eq!(texts.len(), filters.len());
    }
}
