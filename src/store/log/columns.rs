//! What a change writes into the columns of the log.

use uuid::Uuid;

use crate::revocation::{Change, NewEvent, TokenChange};
use crate::store::moment::Moment;

/// The columns that say what happened, and why.
pub(super) fn kind(change: &Change) -> (&'static str, Option<&str>) {
    match change {
        Change::Token { what: TokenChange::Revoked { reason }, .. } => ("revoked", Some(reason.as_str())),
        Change::Token { what: TokenChange::SecretReplaced { .. }, .. } => ("secret_replaced", None),
        Change::Token { what: TokenChange::Updated, .. } => ("updated", None),
        Change::Token { what: TokenChange::Suspended { reason }, .. } => ("suspended", Some(reason.as_str())),
        Change::Token { what: TokenChange::Resumed, .. } => ("resumed", None),
        Change::PrincipalChanged { .. } => ("principal_changed", None),
        Change::WorkspaceInvalidated { reason, .. } => ("workspace_invalidated", Some(reason.as_str())),
        Change::BulkRevoked { reason, .. } => ("bulk_revoked", Some(reason.as_str())),
        Change::WorkspaceUpdated { .. } => ("workspace_updated", None),
        Change::ProfileUpdated { .. } => ("profile_updated", None),
        Change::KeyRetired { .. } => ("key_retired", None),
    }
}

/// The columns that name a token, its generation, a principal, a profile and a key.
pub(super) type Named<'change> =
    (Option<Uuid>, Option<i32>, Option<&'change str>, Option<&'change str>, Option<String>);

pub(super) fn named(change: &Change) -> Named<'_> {
    match change {
        Change::Token { token, generation, .. } => {
            (Some(token.as_uuid()), Some(generation.0), None, None, None)
        }
        Change::PrincipalChanged { principal, .. } => (None, None, Some(principal.as_str()), None, None),
        Change::WorkspaceInvalidated { .. }
        | Change::BulkRevoked { .. }
        | Change::WorkspaceUpdated { .. } => (None, None, None, None, None),
        Change::ProfileUpdated { profile } => (None, None, None, Some(profile.as_str()), None),
        Change::KeyRetired { kid } => (None, None, None, None, Some(kid.to_string())),
    }
}

/// The column that names several tokens, as a text, since PostgreSQL unnests arrays of arrays to their ends.
pub(super) fn several(change: &Change) -> Option<String> {
    let Change::BulkRevoked { tokens: Some(tokens), .. } = change else { return None };
    let tokens: Vec<String> = tokens.iter().map(ToString::to_string).collect();
    Some(tokens.join(","))
}

/// Until when the secret before works, of a secret that was replaced.
pub(super) const fn overlap_end(event: &NewEvent) -> Option<Moment> {
    let Change::Token { what: TokenChange::SecretReplaced { overlap_end: Some(end) }, .. } = &event.change
    else {
        return None;
    };
    Some(Moment(*end))
}
