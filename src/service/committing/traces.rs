//! What a change leaves behind beside the token: the request that asked for it, an entry in the audit, an event in the log.

use super::mutation::{Action, Mutation};
use crate::audit::{Details, Entry, Subject};
use crate::revocation::{Change, NewEvent, TokenChange};
use crate::service::audit;
use crate::store::requests::Undertaking;
use crate::token::{Generation, Token};

impl Mutation {
    /// What is entered before it is made, if it may be repeated.
    pub(super) fn undertaking(&self) -> Option<Undertaking> {
        let intention = self.caller.intention()?;
        Some(match &self.action {
            Action::ReplaceSecret { seen, sealed, .. } => {
                intention.undertaking(Some((self.token, Generation(seen.0 + 1))), sealed.clone())
            }
            Action::Edit(_)
            | Action::EndOverlap
            | Action::Revoke(_)
            | Action::RevokeSecret { .. }
            | Action::Suspend(_)
            | Action::Resume => intention.undertaking(None, None),
        })
    }

    /// What goes into the audit of the change, which left a token so.
    pub(super) fn entry(&self, token: &Token) -> Entry {
        let (action, details) = match &self.action {
            Action::Edit(edit) => ("update_token", audit::edited(edit, token)),
            Action::EndOverlap => ("end_overlap", Details::new()),
            Action::ReplaceSecret { expiry, .. } => {
                let generation = Details::from([("generation", token.generation.0.to_string())]);
                let expiry = expiry.map(|_| audit::created(token));
                let expiry = expiry.and_then(|mut told| told.remove_entry("expire_time"));
                ("regenerate_token", generation.into_iter().chain(expiry).collect())
            }
            Action::Revoke(reason) => ("revoke_token", Details::from([("reason", reason.to_string())])),
            Action::RevokeSecret { reason, .. } => {
                ("revoke_secret", Details::from([("reason", reason.to_string())]))
            }
            Action::Suspend(reason) => ("suspend_token", Details::from([("reason", reason.to_string())])),
            Action::Resume => ("resume_token", Details::new()),
        };
        let action = crate::audit::Action::known(action);
        let entry = self.caller.entry(action, &self.initiator, Subject::token(token));
        Entry { revision: token.revision, details, ..entry }
    }

    /// What is to be logged of the change.
    pub(super) fn event(&self, token: &Token, action: &Action) -> NewEvent {
        let (what, generation) = match action {
            Action::Edit(_) => (TokenChange::Updated, token.generation),
            Action::ReplaceSecret { seen, overlap, .. } => {
                (TokenChange::SecretReplaced { overlap_end: overlap.end() }, Generation(seen.0 + 1))
            }
            Action::EndOverlap => (TokenChange::SecretReplaced { overlap_end: None }, token.generation),
            Action::Revoke(reason) | Action::RevokeSecret { reason, .. } => {
                (TokenChange::Revoked { reason: reason.clone() }, token.generation)
            }
            Action::Suspend(reason) => (TokenChange::Suspended { reason: reason.clone() }, token.generation),
            Action::Resume => (TokenChange::Resumed, token.generation),
        };
        let (workspace, initiator) = (token.workspace.clone(), self.initiator.clone());
        NewEvent { change: Change::Token { workspace, token: token.id, generation, what }, initiator }
    }
}
