//! Which tokens a list shows.

use std::time::{Duration, SystemTime};

use super::{Scope, TokenState};
use crate::text::{NamePrefix, Principal};

/// What a token must satisfy to be listed: every field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenFilter {
    /// In one of these states; in any if empty.
    pub states: Vec<TokenState>,
    /// Acting for exactly this principal.
    pub principal: Option<Principal>,
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
