//! What a workspace limits, held against what is about to be issued.

use std::time::SystemTime;

use super::{Error, Excess};
use crate::principal::{Legacy, Principal};
use crate::store::{StoreError, Transaction, limits};
use crate::text::{Invalid, PrincipalId};
use crate::token::Expiry;
use crate::workspace::{Limits, WorkspaceId};

/// What is about to be issued in a workspace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim<'claim> {
    /// The workspace.
    pub workspace: &'claim WorkspaceId,
    /// Who the token acts for.
    pub principal: Option<&'claim PrincipalId>,
    /// Until when the token counts already, if it does and not for ever.
    pub counted_until: Option<SystemTime>,
    /// Whether a token is added, unless it counts already.
    pub adds: bool,
    /// Whether a secret is issued.
    pub issues: bool,
}

/// Holds a workspace with limits until the transaction ends, and tells if there is no room for what is about to be issued.
pub(super) async fn admit(
    transaction: &mut Transaction,
    claim: Claim<'_>,
) -> Result<Result<(), Excess>, StoreError> {
    let Claim { workspace, principal, counted_until, adds, issues } = claim;
    limits::lock(transaction, workspace).await?;
    let room = limits::room(transaction, workspace, principal, counted_until).await?;
    if adds && room.adds {
        if let Some(most) = room.most.filter(|most| room.tokens >= *most) {
            return Ok(Err(Excess::Tokens { limit: most, principal: None }));
        }
        if let Some(most) = room.most_per_principal.filter(|most| room.tokens_of_principal >= *most) {
            return Ok(Err(Excess::Tokens { limit: most, principal: principal.cloned() }));
        }
    }
    let Some(per_minute) = room.issues_per_minute.filter(|_| issues) else { return Ok(Ok(())) };
    let wait = limits::issue(transaction, workspace, per_minute).await?;
    Ok(wait.map_or(Ok(()), |wait| Err(Excess::Issues(wait))))
}

/// Holds a workspace, if it limits how much is issued, and refuses a new token for which there is no room.
///
/// # Errors
/// [`Error::Excess`], or that it cannot be done now.
pub(super) async fn find_room(
    transaction: &mut Transaction,
    limits: &Limits,
    workspace: &WorkspaceId,
    principal: Option<&PrincipalId>,
) -> Result<(), Error> {
    if !limits.count_tokens() && !limits.count_issues() {
        return Ok(());
    }
    let claim = Claim { workspace, principal, counted_until: None, adds: true, issues: true };
    Ok(admit(transaction, claim).await??)
}

/// Holds a workspace until the transaction ends, and refuses to give one principal's tokens to another that would then have
/// more than it may.
///
/// # Errors
/// [`Error::Excess`], or that it cannot be done now.
pub(super) async fn admit_legacy(
    transaction: &mut Transaction,
    principal: &Principal,
    legacy: &Legacy,
) -> Result<(), Error> {
    let (workspace, from) = (&principal.workspace, &principal.id);
    let Legacy::HandedOver(to) = legacy else { return Ok(()) };
    limits::lock(transaction, workspace).await?;
    let legacy = limits::room(transaction, workspace, Some(from), None).await?.tokens_of_principal;
    let room = limits::room(transaction, workspace, Some(to), None).await?;
    match room.most_per_principal {
        Some(limit) if legacy > 0 && room.tokens_of_principal + legacy > limit => {
            Err(Excess::Tokens { limit, principal: Some(to.clone()) }.into())
        }
        Some(_) | None => Ok(()),
    }
}

/// Refuses an expiry that is set and lies further from `time` than the workspace allows; a lifetime is counted from then.
/// `path` is where moments of expiry are named.
///
/// # Errors
/// [`Error::InvalidFields`].
pub(super) fn require_lifetime(
    limits: &Limits,
    expiry: Option<Expiry>,
    time: SystemTime,
    path: &str,
) -> Result<(), Error> {
    let Some(limit) = limits.lifetime else { return Ok(()) };
    let (left, path) = match expiry {
        None => (None, path),
        Some(Expiry::Never) => (None, if path.contains('.') { path } else { "never_expires" }),
        Some(Expiry::After(lifetime)) => (Some(lifetime), "lifetime"),
        Some(Expiry::At(end)) => (Some(end.duration_since(time).unwrap_or_default()), path),
    };
    if left.is_some_and(|left| left <= limit) {
        Ok(())
    } else {
        Err(Error::field(path, Invalid::TooFar { limit }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn where_lifetimes_are_limited_a_token_must_expire_in_time() {
        let limits = Limits { lifetime: Some(Duration::from_hours(1)), ..Limits::default() };
        let now = SystemTime::UNIX_EPOCH;
        let judge = |expiry| {
            require_lifetime(&limits, expiry, now, "expire_time").map_err(|error| {
                let Error::InvalidFields(fields) = error else { panic!("{error}") };
                fields[0].path.clone()
            })
        };
        let hour = Duration::from_hours(1);
        assert_eq!(judge(None), Err("expire_time".to_owned()));
        assert_eq!(judge(Some(Expiry::Never)), Err("never_expires".to_owned()));
        assert_eq!(judge(Some(Expiry::After(hour))), Ok(()));
        assert_eq!(judge(Some(Expiry::After(hour + Duration::from_micros(1)))), Err("lifetime".to_owned()));
        assert_eq!(judge(Some(Expiry::At(now + hour))), Ok(()));
        assert_eq!(judge(Some(Expiry::At(now + hour * 2))), Err("expire_time".to_owned()));
        assert!(require_lifetime(&Limits::default(), None, now, "expire_time").is_ok());
    }
}
