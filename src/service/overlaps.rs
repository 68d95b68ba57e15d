//! Ending the time in which two secrets of a token work.

use tokio::time::Instant;

use super::committing::{Action, Mutation};
use super::{Caller, Error, Service};
use crate::text::Initiator;
use crate::token::{Precondition, Token, TokenId};
use crate::workspace::Limits;

/// Of which token to end the time in which two secrets work.
#[derive(Debug)]
pub struct OverlapEnd {
    /// Which one.
    pub id: TokenId,
    /// Which version of it.
    pub precondition: Precondition,
    /// On whose behalf.
    pub initiator: Option<Initiator>,
    /// Whether the caller will wait until no cache accepts the secret before.
    pub awaited: bool,
}

impl Service {
    /// Ends the time in which the secret before the present one works too; a token that has one secret stays as it is. If
    /// that is wanted, waits as [`Service::revoke_token`] does.
    ///
    /// # Errors
    /// [`Error::TokenNotFound`], [`Error::EtagMismatch`], [`Error::TokenRevoked`], [`Error::ScopeEscalation`].
    pub async fn end_overlap(
        &self,
        caller: &Caller,
        end: OverlapEnd,
        deadline: Option<Instant>,
    ) -> Result<(Token, bool), Error> {
        let OverlapEnd { id, precondition, initiator, awaited } = end;
        let mutation = Mutation {
            token: id,
            caller: caller.clone(),
            initiator: caller.on_behalf_of(initiator)?,
            precondition,
            profile: None,
            limits: Limits::default(),
            action: Action::EndOverlap,
            awaited,
        };
        self.make_everywhere(mutation, deadline).await
    }
}
