//! A change that somebody asks for, and whether it may be made: judged in full before anything is written.

use std::sync::Arc;
use std::time::SystemTime;

use super::super::limiting::{Claim, require_lifetime};
use super::super::tokens::known_to;
use super::super::{Caller, Error};
use crate::profile::{Edit, Forbidden, Profile, TokenType};
use crate::request::Sealed;
use crate::store::tokens::{Locked, NewSecret};
use crate::text::{Initiator, Invalid, Reason};
use crate::token::{
    Audiences, Expiry, Generation, Overlap, Precondition, ScopeSet, Token, TokenEdit, TokenId, TokenState,
};
use crate::workspace::Limits;

/// A change to a token that takes a revision.
#[derive(Debug, Clone)]
pub(in super::super) struct Mutation {
    /// Which token.
    pub(in super::super) token: TokenId,
    /// Who asks.
    pub(in super::super) caller: Caller,
    /// On whose behalf.
    pub(in super::super) initiator: Initiator,
    /// The profile of its workspace, whose rules an edit must keep.
    pub(in super::super) profile: Option<Arc<Profile>>,
    /// What its workspace limits, as it was read before.
    pub(in super::super) limits: Limits,
    /// Which version of the token.
    pub(in super::super) precondition: Precondition,
    /// What is to be done.
    pub(in super::super) action: Action,
    /// Whether somebody waits until every server has applied it.
    pub(in super::super) awaited: bool,
}

/// What is to be done to a token.
#[derive(Debug, Clone)]
pub(in super::super) enum Action {
    /// Change fields.
    Edit(TokenEdit),
    /// Give it another secret.
    ReplaceSecret {
        /// The generation that the new secret was made to follow.
        seen: Generation,
        /// The new secret.
        secret: NewSecret,
        /// A new expiry, or none to keep it.
        expiry: Option<Expiry>,
        /// The new secret, sealed for whoever repeats the request.
        sealed: Option<Sealed>,
        /// How long the present secret works on.
        overlap: Overlap,
    },
    /// Have the secret before the present one work no more.
    EndOverlap,
    /// End it.
    Revoke(Reason),
    /// End it if a secret that leaked is its present one.
    RevokeSecret {
        /// The generation of that secret.
        generation: Generation,
        /// Why it ends.
        reason: Reason,
    },
    /// Have it not work for a while.
    Suspend(Reason),
    /// Have it work again.
    Resume,
}

/// What is to become of a token that was judged.
#[derive(Debug)]
pub(super) enum Judged {
    /// Nothing: it is so already.
    Unchanged(Token),
    /// This, at a time that is settled.
    Changes(Token, Action),
}

impl Mutation {
    /// Judges the change by the token as it is locked, if it is there, at the time of the lock.
    pub(super) fn judge(&self, locked: Option<Locked>) -> Result<Judged, Error> {
        let (token, time) = locked.map(|Locked { token, time }| (token, time)).unzip();
        let token = known_to(&self.caller, self.token, token)?;
        let time = time.unwrap_or(token.update_time);
        match &self.action {
            Action::Edit(edit) => self.judge_edit(token, edit.clone(), time),
            Action::ReplaceSecret { .. } => self.judge_replacement(token, self.action.clone(), time),
            Action::EndOverlap => self.judge_end_of_overlap(token),
            Action::Revoke(_) if token.state == TokenState::Revoked => Ok(Judged::Unchanged(token)),
            Action::Revoke(reason) => {
                self.require_version(&token)?;
                Ok(Judged::Changes(token, Action::Revoke(reason.clone())))
            }
            Action::RevokeSecret { generation, reason } => {
                let previous = token.previous_secret.as_ref().map(|previous| previous.generation);
                Ok(if token.state == TokenState::Revoked {
                    Judged::Unchanged(token)
                } else if token.generation == *generation {
                    Judged::Changes(token, Action::Revoke(reason.clone()))
                } else if previous == Some(*generation) {
                    // The previous one of an overlap ends alone.
                    Judged::Changes(token, Action::EndOverlap)
                } else {
                    // It was replaced meanwhile, and so is dead.
                    Judged::Unchanged(token)
                })
            }
            Action::Suspend(_) | Action::Resume => self.judge_suspension(token),
        }
    }

    /// What the change must find room for, if its workspace limits that.
    pub(super) fn claim<'claim>(&self, token: &'claim Token) -> Option<Claim<'claim>> {
        if !self.needs_room() {
            return None;
        }
        Some(Claim {
            workspace: &token.workspace,
            principal: token.principal.as_ref(),
            counted_until: token.expire_time,
            // One that does not expire counts already.
            adds: self.renews() && token.expire_time.is_some(),
            issues: self.issues(),
        })
    }

    /// Whether the change may have to find room, in a transaction of its own.
    pub(in super::super) fn needs_room(&self) -> bool {
        (self.limits.count_issues() && self.issues()) || (self.limits.count_tokens() && self.renews())
    }

    const fn issues(&self) -> bool {
        matches!(self.action, Action::ReplaceSecret { .. })
    }

    fn renews(&self) -> bool {
        match &self.action {
            Action::Edit(edit) => edit.expiry.is_some(),
            Action::ReplaceSecret { expiry, .. } => expiry.is_some(),
            Action::EndOverlap
            | Action::Revoke(_)
            | Action::RevokeSecret { .. }
            | Action::Suspend(_)
            | Action::Resume => false,
        }
    }

    fn judge_edit(&self, token: Token, mut edit: TokenEdit, time: SystemTime) -> Result<Judged, Error> {
        self.caller.require_covering(&token.scopes)?;
        self.keep_rules(&token, &mut edit)?;
        edit.scopes.as_ref().map_or(Ok(()), |scopes| self.caller.require_covering(scopes))?;
        self.require_version(&token)?;
        if token.state == TokenState::Revoked {
            return Err(Error::TokenRevoked(token.id));
        }
        if edit.changes_nothing_of(&token) {
            return Ok(Judged::Unchanged(token));
        }
        if edit.expiry.is_some() {
            require_lifetime(&self.limits, edit.expiry, time, "token.expire_time")?;
        }
        if edit.expiry.is_some() || edit.scopes.is_some() {
            let scopes = edit.scopes.as_ref().unwrap_or(&token.scopes);
            edit.expiry = self.settle(edit.expiry, &token, scopes, time, "token.expire_time")?;
        }
        Ok(Judged::Changes(token, Action::Edit(edit)))
    }

    fn judge_replacement(&self, token: Token, mut action: Action, time: SystemTime) -> Result<Judged, Error> {
        if let Action::ReplaceSecret { seen, expiry, overlap, .. } = &mut action {
            require_regenerable(&self.caller, &token, &self.precondition, *expiry)?;
            if token.generation != *seen {
                return Err(Error::EtagMismatch);
            }
            if expiry.is_some() {
                require_lifetime(&self.limits, *expiry, time, "expire_time")?;
            }
            *expiry = self.settle(*expiry, &token, &token.scopes, time, "expire_time")?;
            // What is dead already does not work on.
            let dead = token.state == TokenState::Invalidated;
            let end = expiry.map_or(token.expire_time, Expiry::end);
            *overlap = if dead { Overlap::None } else { overlap.settled(time, end) };
        }
        Ok(Judged::Changes(token, action))
    }

    /// The token is as it was found after it was locked.
    fn judge_end_of_overlap(&self, token: Token) -> Result<Judged, Error> {
        self.caller.require_covering(&token.scopes)?;
        if token.state == TokenState::Revoked {
            return Err(Error::TokenRevoked(token.id));
        }
        if token.previous_secret.is_none() {
            return Ok(Judged::Unchanged(token));
        }
        self.require_version(&token)?;
        Ok(Judged::Changes(token, Action::EndOverlap))
    }

    fn judge_suspension(&self, token: Token) -> Result<Judged, Error> {
        let (action, resumes) = (self.action.clone(), matches!(self.action, Action::Resume));
        if resumes {
            self.caller.require_covering(&token.scopes)?;
        }
        if token.state == TokenState::Revoked {
            return Err(Error::TokenRevoked(token.id));
        }
        if token.suspended.is_some() != resumes {
            return Ok(Judged::Unchanged(token));
        }
        self.require_version(&token)?;
        Ok(Judged::Changes(token, action))
    }

    /// Refuses what the profile does not allow, and gives a token of another type the scopes of that type.
    fn keep_rules(&self, token: &Token, edit: &mut TokenEdit) -> Result<(), Error> {
        let Some(profile) = &self.profile else {
            return require_custom(edit.token_type, "token.type");
        };
        let forbidden = profile.forbids_editing(&Edit {
            create_time: token.create_time,
            expire_time: token.expire_time,
            present_type: token.token_type,
            description: edit.description.as_ref(),
            token_type: edit.token_type,
            scopes: edit.scopes.as_ref(),
            audiences: edit.audiences.as_ref().map(Audiences::as_slice),
            expiry: edit.expiry,
        });
        if !forbidden.is_empty() {
            let within = |it: Forbidden| Forbidden { path: format!("token.{}", it.path), ..it };
            return Err(Error::ProfileForbids(forbidden.into_iter().map(within).collect()));
        }
        if let Some(grants) = edit.token_type.and_then(|token_type| profile.grants(token_type)) {
            edit.scopes = Some(grants.clone());
        }
        Ok(())
    }

    /// Settles when the token will expire that then has these scopes, a lifetime being counted from `time`.
    fn settle(
        &self,
        expiry: Option<Expiry>,
        token: &Token,
        scopes: &ScopeSet,
        time: SystemTime,
        path: &str,
    ) -> Result<Option<Expiry>, Error> {
        let expiry = expiry.map(|expiry| expiry.counted_from(time));
        let end = match expiry {
            None => token.expire_time,
            Some(Expiry::At(end)) => Some(end),
            Some(Expiry::Never | Expiry::After(_)) => None,
        };
        self.caller.require_outliving(scopes, end)?;
        match expiry {
            Some(Expiry::At(end)) if end <= time => {
                Err(Error::field(path, Invalid::Malformed("in the future")))
            }
            Some(_) | None => Ok(expiry),
        }
    }

    fn require_version(&self, token: &Token) -> Result<(), Error> {
        if self.precondition.holds_for(&token.etag()) { Ok(()) } else { Err(Error::EtagMismatch) }
    }
}

/// Refuses a token whose secret the caller may not replace, as it is now.
pub(in super::super) fn require_regenerable(
    caller: &Caller,
    token: &Token,
    precondition: &Precondition,
    expiry: Option<Expiry>,
) -> Result<(), Error> {
    caller.require_covering(&token.scopes)?;
    if !precondition.holds_for(&token.etag()) {
        return Err(Error::EtagMismatch);
    }
    match token.state {
        TokenState::Revoked => Err(Error::TokenRevoked(token.id)),
        TokenState::Expired if expiry.is_none() => Err(Error::TokenExpired(token.id)),
        TokenState::Active | TokenState::Expired | TokenState::Invalidated | TokenState::Suspended => Ok(()),
    }
}

/// Refuses a type that only a profile could give a meaning.
pub(in super::super) fn require_custom(token_type: Option<TokenType>, path: &str) -> Result<(), Error> {
    match token_type {
        None | Some(TokenType::Custom) => Ok(()),
        Some(TokenType::ReadOnly | TokenType::FullAccess) => {
            let told = "must be TOKEN_TYPE_CUSTOM: the workspace has no profile".to_owned();
            Err(Error::ProfileForbids(vec![Forbidden { path: path.to_owned(), told }]))
        }
    }
}
