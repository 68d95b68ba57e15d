//! Judging a presented token: what it meets, cheapest first, until it is found dead or proved live.

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use super::{Caller, Error, Permission, Service};
use crate::keyring::Origin;
use crate::metrics::{Argon2Purpose, IntrospectionResult};
use crate::store::tokens::{self, Credential};
use crate::token::{Generation, Presented, Scope, Token, TokenId, TokenState};
use crate::workspace::WorkspaceId;

/// Why a presented token is not active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InactiveReason {
    /// Not the shape of a token.
    Malformed,
    /// Not issued under any key of ours.
    Forged,
    /// Not on record, or nothing the caller may know of.
    Unknown,
    /// Of another workspace than the one asked for.
    OtherWorkspace,
    /// Its expiry has passed.
    Expired,
    /// It was revoked.
    Revoked,
    /// Its secret was replaced.
    Superseded,
}

impl InactiveReason {
    const fn result(self) -> IntrospectionResult {
        match self {
            Self::Malformed => IntrospectionResult::Malformed,
            Self::Forged => IntrospectionResult::Forged,
            Self::Unknown => IntrospectionResult::Unknown,
            Self::OtherWorkspace => IntrospectionResult::OtherWorkspace,
            Self::Expired => IntrospectionResult::Expired,
            Self::Revoked => IntrospectionResult::Revoked,
            Self::Superseded => IntrospectionResult::Superseded,
        }
    }
}

/// What is asked about a presented token.
#[derive(Debug)]
pub struct Introspection {
    /// What the client presented.
    pub presented: SecretString,
    /// The workspace it was presented in, if that matters.
    pub workspace: Option<WorkspaceId>,
    /// What the client's request needs.
    pub required_scopes: Vec<Scope>,
}

/// The answer. It is never given when it cannot be known.
#[derive(Debug)]
pub enum Verdict {
    /// Not a live token here; the reason only for callers granted it.
    Inactive(Option<InactiveReason>),
    /// A live token, and which of the required scopes it lacks.
    Active {
        /// The token.
        token: Box<Token>,
        /// The required scopes that it does not grant.
        missing: Vec<Scope>,
    },
}

/// A live token, or why it is none.
pub(super) type Proved = Result<Token, InactiveReason>;

impl Service {
    /// Judges a presented token.
    ///
    /// # Errors
    /// [`Error::WorkspaceDenied`] for a workspace that the caller does not act on; else only that it cannot be decided.
    pub async fn introspect(&self, caller: &Caller, ask: Introspection) -> Result<Verdict, Error> {
        ask.workspace.as_ref().map_or(Ok(()), |workspace| caller.require_workspace(workspace))?;
        let undecided = |_: &Error| self.metrics.introspected(IntrospectionResult::Undecided);
        let admits = |workspace: &WorkspaceId| in_workspace(workspace, caller, ask.workspace.as_ref());
        let proved = self.prove(&ask.presented, admits).await.inspect_err(undecided)?;
        Ok(match proved {
            Err(reason) => {
                self.metrics.introspected(reason.result());
                Verdict::Inactive(caller.may(Permission::LearnInactiveReason).then_some(reason))
            }
            Ok(token) => {
                let missing: Vec<Scope> =
                    token.scopes.missing(&ask.required_scopes).into_iter().cloned().collect();
                let allowed = missing.is_empty();
                let result =
                    if allowed { IntrospectionResult::Active } else { IntrospectionResult::DeniedScope };
                self.metrics.introspected(result);
                Verdict::Active { token: Box::new(token), missing }
            }
        })
    }

    /// Takes a presented string through every check. A forged one reaches neither the database nor argon2; one of a
    /// workspace that is not admitted is told apart by nothing, not even by the time it takes, and leaves no trace; and
    /// a replaced secret never reaches argon2.
    pub(super) async fn prove(
        &self,
        text: &SecretString,
        admits: impl Fn(&WorkspaceId) -> Result<(), InactiveReason>,
    ) -> Result<Proved, Error> {
        let Ok(presented) = Presented::parse(text.expose_secret()) else {
            return Ok(Err(InactiveReason::Malformed));
        };
        match self.keyring.origin(&presented) {
            Origin::Issued => {}
            Origin::UnknownKey if self.keys.lists(presented.kid) => {
                return Err(Error::KeyUnavailable(presented.kid));
            }
            Origin::Forged | Origin::UnknownKey => return Ok(Err(InactiveReason::Forged)),
        }
        let Some(credential) = self.read_credential(presented.id).await? else {
            return Ok(Err(InactiveReason::Unknown));
        };
        let on_record = admits(&credential.token.workspace).and_then(|()| current(&presented, &credential));
        if let Err(reason) = on_record {
            return Ok(Err(reason));
        }
        if !self.prove_secret(&presented, &credential).await? {
            tracing::error!(token = %presented.id, "a stored hash does not match the secret that its tag matches");
            return Ok(Err(InactiveReason::Forged));
        }
        self.last_uses.note(credential.token.id, credential.read_time);
        Ok(Ok(credential.token))
    }

    /// What a token is now of which this secret was proved before, by id alone; or why it is none any more.
    pub(super) async fn look_again(
        &self,
        id: TokenId,
        generation: Generation,
    ) -> Result<Result<Credential, InactiveReason>, Error> {
        let Some(credential) = self.read_credential(id).await? else {
            return Ok(Err(InactiveReason::Unknown));
        };
        if credential.token.generation != generation {
            return Ok(Err(InactiveReason::Superseded));
        }
        Ok(living(&credential.token).map(|()| credential))
    }

    async fn read_credential(&self, id: TokenId) -> Result<Option<Credential>, Error> {
        self.metrics.credential_was_read();
        let mut connection = self.store.connection().await?;
        Ok(tokens::credential(&mut connection, id).await?)
    }

    /// argon2, unless it has proved this very secret before.
    async fn prove_secret(&self, presented: &Presented<'_>, credential: &Credential) -> Result<bool, Error> {
        let (id, generation) = (credential.token.id, credential.token.generation);
        if self.proofs.holds(id, generation, &presented.secret) {
            self.metrics.proof_was_cached();
            return Ok(true);
        }
        let key = self.keyring.key(presented.kid).ok_or(Error::KeyUnavailable(presented.kid))?;
        let begun = Instant::now();
        let proved = self.hasher.verify(&presented.secret, &key.pepper(), &credential.hash).await?;
        self.metrics.argon2_ran(Argon2Purpose::Verify, begun.elapsed());
        if proved {
            self.proofs.remember(id, generation, &presented.secret);
        }
        Ok(proved)
    }
}

const fn living(token: &Token) -> Result<(), InactiveReason> {
    match token.state {
        TokenState::Active => Ok(()),
        TokenState::Expired => Err(InactiveReason::Expired),
        TokenState::Revoked => Err(InactiveReason::Revoked),
    }
}

/// Whether what is presented is the token's present secret, by the row's own record of its tag, and the token lives.
fn current(presented: &Presented<'_>, credential: &Credential) -> Result<(), InactiveReason> {
    if credential.tag != presented.tag {
        return Err(InactiveReason::Superseded);
    }
    living(&credential.token)
}

/// A token that the caller does not act on is unknown to it, in whatever state it is.
fn in_workspace(
    workspace: &WorkspaceId,
    caller: &Caller,
    wanted: Option<&WorkspaceId>,
) -> Result<(), InactiveReason> {
    if !caller.reach().covers(workspace) {
        return Err(InactiveReason::Unknown);
    }
    if wanted.is_some_and(|wanted| wanted != workspace) {
        return Err(InactiveReason::OtherWorkspace);
    }
    Ok(())
}
