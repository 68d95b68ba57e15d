//! Ending many tokens at once: counted first if that is wanted, and in one change.

use std::time::Duration;

use tokio::time::Instant;

use super::retries::{self, Many};
use super::{Caller, Error, Service};
use crate::audit::{Action, Details, Entry, Subject};
use crate::revocation::{Appended, Change, NewEvent};
use crate::store::bulk_revocations::{self, Matching};
use crate::store::{self, Transaction, log};
use crate::text::{Initiator, Invalid, Reason};
use crate::token::{Revision, Token, TokenFilter};
use crate::workspace::WorkspaceId;

/// How many of the tokens are shown.
const SAMPLE: i64 = 10;

/// Which tokens to end.
#[derive(Debug)]
pub struct BulkRevocation {
    /// Of which workspace.
    pub workspace: WorkspaceId,
    /// Which of it.
    pub filter: TokenFilter,
    /// Whether only to count them.
    pub dry_run: bool,
    /// How many they must be; any number if `None`.
    pub expected_count: Option<i64>,
    /// Why.
    pub reason: Reason,
    /// On whose behalf.
    pub initiator: Option<Initiator>,
    /// Whether the caller will wait until no cache accepts any of them.
    pub awaited: bool,
}

/// What became of them.
#[derive(Debug)]
pub struct BulkRevoked {
    /// How many they are.
    pub token_count: i64,
    /// The newest of them, as they were before.
    pub sample: Vec<Token>,
    /// The position of the change; zero if there was none.
    pub revision: Revision,
    /// Whether no cache accepts any of them, as far as was waited for.
    pub everywhere: bool,
}

/// How many tokens end, and the newest of them.
type Counted = (i64, Vec<Token>);

impl Service {
    /// Ends every token of a workspace that a filter matches and that is not revoked, or counts them only. If that is wanted,
    /// waits until no cache accepts any of them, but not up to a deadline, and tells besides whether that came about.
    ///
    /// # Errors
    /// [`Error::WorkspaceDenied`], [`Error::WorkspaceNotFound`], [`Error::CountMismatch`]; more than
    /// [`bulk_revocations::MOST`] as [`Error::InvalidFields`].
    pub async fn bulk_revoke(
        &self,
        caller: &Caller,
        bulk: BulkRevocation,
        deadline: Option<Instant>,
    ) -> Result<BulkRevoked, Error> {
        caller.require_workspace(&bulk.workspace)?;
        let (initiator, awaited) = (caller.on_behalf_of(bulk.initiator.clone())?, bulk.awaited);
        let work = async {
            let mut transaction = retries::begin(&self.store, caller, None, None).await?;
            let revoked = self.revoke_matching(&mut transaction, caller, bulk, initiator).await;
            let ((token_count, sample), committed) = self.committing.finish(transaction, revoked).await?;
            let revision = committed.map_or(Revision::ZERO, |it| it.position.revision);
            Ok((Many { token_count, revision, committed }, sample))
        };
        let before = |done| async move { Ok((Many::of(&done), Vec::new())) };
        let (many, sample) = self.once(caller, work, before).await?;
        self.learn_profile(sample.first()).await;
        let sample = sample.into_iter().map(|token| self.profiles.advise(token)).collect();
        let everywhere = self.wait_for_many(&many, awaited, deadline).await;
        Ok(BulkRevoked { token_count: many.token_count, sample, revision: many.revision, everywhere })
    }

    async fn revoke_matching(
        &self,
        transaction: &mut Transaction,
        caller: &Caller,
        bulk: BulkRevocation,
        initiator: Initiator,
    ) -> Result<(Counted, Option<Appended>), Error> {
        let BulkRevocation { workspace, filter, .. } = &bulk;
        let due_after = self.rotation_due_after(transaction.connection(), workspace, filter).await?;
        let (details, workspace) = (of_filter(&bulk), workspace.clone());
        let ((count, sample), appended) = revoke(transaction, bulk, due_after, &initiator).await?;
        let revision = appended.as_ref().and_then(|appended| appended.events.last());
        let revision = revision.map_or(Revision::ZERO, |event| event.revision);
        if appended.is_some() {
            let subject = Subject { workspace: Some(workspace), ..Subject::default() };
            let entry = caller.entry(Action::known("bulk_revoke_tokens"), &initiator, subject);
            let details = details.into_iter().chain([("tokens", count.to_string())]).collect();
            store::audit::record(transaction.connection(), &[Entry { revision, details, ..entry }]).await?;
        }
        retries::settle(transaction, caller, count, revision).await?;
        Ok(((count, sample), appended))
    }
}

/// What the audit tells of a filter: its principal, its scope and which fields it has. Beginnings of names may be anything.
fn of_filter(bulk: &BulkRevocation) -> Details {
    let principal =
        bulk.filter.principal.as_ref().map(|principal| ("filter.principal", principal.to_string()));
    let scope = bulk.filter.scope.as_ref().map(|scope| ("filter.scope", scope.to_string()));
    principal.into_iter().chain(scope).chain([("reason", bulk.reason.to_string())]).collect()
}

async fn revoke(
    transaction: &mut Transaction,
    bulk: BulkRevocation,
    rotation_due_after: Option<Duration>,
    initiator: &Initiator,
) -> Result<(Counted, Option<Appended>), Error> {
    let BulkRevocation { workspace, filter, dry_run, expected_count, reason, awaited, .. } = bulk;
    let matching = Matching { workspace, filter, rotation_due_after };
    bulk_revocations::take_time(transaction).await?;
    let connection = transaction.connection();
    let sample = bulk_revocations::newest(connection, &matching, SAMPLE).await?;
    if dry_run {
        let count = bulk_revocations::count(connection, &matching).await?;
        return require_count(count, None).map(|()| ((count, sample), None));
    }
    if expected_count.is_some() {
        // Without touching anything yet; what is counted here may be others in a moment.
        let count = bulk_revocations::count(connection, &matching).await?;
        require_count(count, expected_count)?;
    }
    let mut ended = bulk_revocations::end(transaction, &matching, &reason).await?;
    require_count(ended.count, expected_count)?;
    if ended.count == 0 {
        bulk_revocations::withdraw(transaction, ended).await?;
        return Ok(((0, Vec::new()), None));
    }
    let (count, tokens) = (ended.count, ended.tokens.take());
    let change = Change::BulkRevoked { workspace: matching.workspace, tokens, reason };
    let initiator = initiator.clone();
    let appended = log::append_all(transaction, vec![NewEvent { change, initiator }], awaited).await?;
    let revision = appended.events.last().map_or(Revision::ZERO, |event| event.revision);
    bulk_revocations::settle(transaction, ended, revision).await?;
    Ok(((count, sample), Some(appended)))
}

fn require_count(count: i64, expected: Option<i64>) -> Result<(), Error> {
    if count > bulk_revocations::MOST {
        let narrower = Invalid::Malformed("narrower: it matches more than 1,000,000 tokens");
        return Err(Error::field("filter", narrower));
    }
    match expected {
        Some(expected) if expected != count => Err(Error::CountMismatch { expected, count }),
        Some(_) | None => Ok(()),
    }
}
