//! Judging a presented token: what it meets, cheapest first, until it is found dead or proved live.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use super::{Caller, Error, Permission, Service};
use crate::introspection::{InactiveReason, Introspection, Record, Verdict};
use crate::keyring::Origin;
use crate::metrics::{Argon2Purpose, IntrospectionResult};
use crate::store::tokens::{self, Credential};
use crate::token::{Generation, Presented, Token, TokenId, TokenState};
use crate::workspace::WorkspaceId;

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
                self.metrics.introspected(result_of(reason));
                Verdict::Inactive(caller.may(Permission::LearnInactiveReason).then_some(reason))
            }
            Ok(token) => {
                let verdict = Verdict::on(Arc::new(Record::from(token)), &ask.required_scopes);
                self.metrics.introspected(result_of_live(&verdict));
                verdict
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
        let proof = self.prover.proof(&presented.secret);
        if self.proofs.holds(id, generation, proof) {
            self.metrics.proof_was_cached();
            return Ok(true);
        }
        let key = self.keyring.key(presented.kid).ok_or(Error::KeyUnavailable(presented.kid))?;
        let begun = Instant::now();
        let proved = self.hasher.verify(&presented.secret, &key.pepper(), &credential.hash).await?;
        self.metrics.argon2_ran(Argon2Purpose::Verify, begun.elapsed());
        if proved {
            self.proofs.remember(id, generation, proof);
        }
        Ok(proved)
    }
}

const fn result_of(reason: InactiveReason) -> IntrospectionResult {
    match reason {
        InactiveReason::Malformed => IntrospectionResult::Malformed,
        InactiveReason::Forged => IntrospectionResult::Forged,
        InactiveReason::Unknown => IntrospectionResult::Unknown,
        InactiveReason::OtherWorkspace => IntrospectionResult::OtherWorkspace,
        InactiveReason::Expired => IntrospectionResult::Expired,
        InactiveReason::Revoked => IntrospectionResult::Revoked,
        InactiveReason::Superseded => IntrospectionResult::Superseded,
    }
}

fn result_of_live(verdict: &Verdict) -> IntrospectionResult {
    match verdict {
        Verdict::Active { missing, .. } if missing.is_empty() => IntrospectionResult::Active,
        Verdict::Active { .. } | Verdict::Inactive(_) => IntrospectionResult::DeniedScope,
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
