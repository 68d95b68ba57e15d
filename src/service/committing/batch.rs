//! Several changes in one transaction: locked together, judged one by one, logged together, written.

use std::collections::HashMap;

use super::mutation::{Action, Judged, Mutation};
use crate::request::RequestDigest;
use crate::revocation::{Appended, Committed, NewEvent, Position};
use crate::service::gathering::{Made, Work, enter};
use crate::service::limiting::admit;
use crate::service::{Caller, Error};
use crate::store::requests::Undertaking;
use crate::store::tokens::{Locked, Replacement, Revocation};
use crate::store::{StoreError, Transaction, audit, log, previous_secrets, requests, tokens};
use crate::token::{Revision, Token, TokenId};

/// A token after what was asked of it.
#[derive(Debug, Clone)]
pub(in super::super) struct Outcome {
    /// The token.
    pub(in super::super) token: Token,
    /// The change; `None` if the token was so already.
    pub(in super::super) change: Option<Committed>,
}

impl Work for Mutation {
    type Answer = Outcome;

    fn token(&self) -> TokenId {
        self.token
    }

    fn caller(&self) -> &Caller {
        &self.caller
    }

    fn undertaking(&self) -> Option<Undertaking> {
        self.undertaking()
    }

    fn can_share(&self) -> bool {
        !self.needs_room()
    }

    async fn make(transaction: &mut Transaction, works: &[&Self]) -> Result<Made<Outcome>, Error> {
        Ok(make(transaction, works).await?)
    }
}

async fn make(transaction: &mut Transaction, mutations: &[&Mutation]) -> Result<Made<Outcome>, StoreError> {
    let entered = enter(transaction, mutations).await?;
    let mut locked = lock(transaction, mutations).await?;
    let mut judged = Verdicts::default();
    for mutation in mutations {
        let digest = mutation.caller.intention().map(|intention| intention.digest);
        let verdict = if digest.is_some_and(|digest| !entered.contains(&digest)) {
            Verdict::Refused(Error::RequestCarriedOut, None)
        } else {
            judge(transaction, mutation, locked.remove(&mutation.token), digest).await?
        };
        judged.add(mutation, verdict);
    }
    let Verdicts { mut answers, changes, news, awaited, made, withdrawn } = judged;
    requests::withdraw(transaction, &withdrawn).await?;
    if news.is_empty() {
        // What is so already is certain too, for to lock a row is to write, and that the commit waits for.
        return Ok(Made { answers, events: Vec::new() });
    }
    let Appended { history, longest_lease, events } = log::append_all(transaction, news, awaited).await?;
    let revisions = events.iter().map(|event| event.revision);
    let written = write(transaction, changes.into_iter().zip(revisions)).await?;
    let entries =
        written.iter().filter_map(|token| made.get(&token.id).map(|mutation| mutation.entry(token)));
    audit::record(transaction.connection(), &entries.collect::<Vec<_>>()).await?;
    for token in written {
        let position = Position { history, revision: token.revision };
        let change = Some(Committed { position, longest_lease });
        answers.insert(token.id, Ok(Outcome { token, change }));
    }
    Ok(Made { answers, events })
}

/// What becomes of one change.
enum Verdict {
    Changes(Token, Action),
    Unchanged(Token),
    /// And the request that may be asked again as if it had never been.
    Refused(Error, Option<RequestDigest>),
}

/// What becomes of all of them.
#[derive(Default)]
struct Verdicts<'mutation> {
    answers: HashMap<TokenId, Result<Outcome, Error>>,
    changes: Vec<(Token, Action)>,
    news: Vec<NewEvent>,
    awaited: bool,
    made: HashMap<TokenId, &'mutation Mutation>,
    withdrawn: Vec<RequestDigest>,
}

impl<'mutation> Verdicts<'mutation> {
    fn add(&mut self, mutation: &'mutation Mutation, verdict: Verdict) {
        match verdict {
            Verdict::Changes(token, action) => {
                self.news.push(mutation.event(&token, &action));
                self.awaited |= mutation.awaited;
                self.made.insert(token.id, mutation);
                self.changes.push((token, action));
            }
            Verdict::Unchanged(token) => {
                self.answers.insert(mutation.token, Ok(Outcome { token, change: None }));
            }
            Verdict::Refused(refusal, request) => {
                self.withdrawn.extend(request);
                self.answers.insert(mutation.token, Err(refusal));
            }
        }
    }
}

/// Judges a change of a token that is locked, and takes what room its workspace has left for it.
async fn judge(
    transaction: &mut Transaction,
    mutation: &Mutation,
    locked: Option<Locked>,
    request: Option<RequestDigest>,
) -> Result<Verdict, StoreError> {
    Ok(match mutation.judge(locked) {
        Ok(Judged::Changes(token, action)) => match mutation.claim(&token) {
            Some(claim) => match admit(transaction, claim).await? {
                Ok(()) => Verdict::Changes(token, action),
                Err(full) => Verdict::Refused(full.into(), request),
            },
            None => Verdict::Changes(token, action),
        },
        // Whoever waited for the lock sees the row as it is now, but all else as it was before, and so the revision of
        // a token that has just ended with others.
        Ok(Judged::Unchanged(token)) => {
            let now = tokens::find(transaction.connection(), token.id).await?;
            Verdict::Unchanged(now.unwrap_or(token))
        }
        Err(refusal) => Verdict::Refused(refusal, request),
    })
}

/// Locks the tokens, with their previous secrets where those are asked about.
async fn lock(
    transaction: &mut Transaction,
    mutations: &[&Mutation],
) -> Result<HashMap<TokenId, Locked>, StoreError> {
    let ids: Vec<TokenId> = mutations.iter().map(|mutation| mutation.token).collect();
    let locked = tokens::lock(transaction, &ids).await?;
    let mut locked: HashMap<TokenId, Locked> =
        locked.into_iter().map(|locked| (locked.token.id, locked)).collect();
    let of_previous =
        |mutation: &&Mutation| matches!(mutation.action, Action::EndOverlap | Action::RevokeSecret { .. });
    if mutations.iter().any(of_previous) {
        previous_secrets::fill_in(transaction, locked.values_mut()).await?;
    }
    Ok(locked)
}

/// Writes what was logged: every end in one statement, everything else in one each.
async fn write(
    transaction: &mut Transaction,
    changes: impl Iterator<Item = ((Token, Action), Revision)>,
) -> Result<Vec<Token>, StoreError> {
    let (mut written, mut ends) = (Vec::new(), Vec::new());
    for ((token, action), revision) in changes {
        let (connection, id) = (transaction.connection(), token.id);
        match action {
            Action::Edit(edit) => written.push(tokens::update(connection, id, edit, revision).await?),
            Action::ReplaceSecret { secret, expiry, overlap, .. } => {
                let replacement = Replacement { secret, expiry, overlap_end: overlap.end() };
                written.push(tokens::replace_secret(connection, &token, replacement, revision).await?);
            }
            Action::EndOverlap => written.push(tokens::end_overlap(connection, id, revision).await?),
            Action::Suspend(reason) => {
                written.push(tokens::suspend(connection, id, Some(&reason), revision).await?);
            }
            Action::Resume => written.push(tokens::suspend(connection, id, None, revision).await?),
            Action::Revoke(reason) | Action::RevokeSecret { reason, .. } => {
                ends.push(Revocation { token, reason, revision });
            }
        }
    }
    if !ends.is_empty() {
        written.extend(tokens::revoke(transaction, ends).await?);
    }
    Ok(written)
}
