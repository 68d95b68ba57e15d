//! Several changes in one transaction: locked together, judged one by one, logged together, written.

use std::collections::HashMap;

use super::mutation::{Action, Judged, Mutation};
use crate::revocation::{Appended, Committed, Event, Position};
use crate::service::Error;
use crate::service::limiting::admit;
use crate::store::tokens::Revocation;
use crate::store::{StoreError, Transaction, log, tokens};
use crate::token::{Revision, Token, TokenId};

/// What was made, once it has committed.
pub(super) struct Made {
    /// The answer to each change, by its token.
    pub(super) answers: HashMap<TokenId, Result<Outcome, Error>>,
    /// What was logged, in order.
    pub(super) events: Vec<Event>,
}

/// A token after what was asked of it.
#[derive(Debug, Clone)]
pub(in super::super) struct Outcome {
    /// The token.
    pub(in super::super) token: Token,
    /// The change; `None` if the token was so already.
    pub(in super::super) change: Option<Committed>,
}

/// Makes changes, each to another token. A change that is refused is in the answers; an error is the transaction's.
pub(super) async fn make<'mutation>(
    transaction: &mut Transaction,
    mutations: impl Iterator<Item = &'mutation Mutation> + Clone,
) -> Result<Made, StoreError> {
    let ids: Vec<TokenId> = mutations.clone().map(|mutation| mutation.token).collect();
    let locked = tokens::lock(transaction, &ids).await?;
    let mut locked: HashMap<TokenId, _> =
        locked.into_iter().map(|locked| (locked.token.id, locked)).collect();
    let (mut answers, mut changes, mut news, mut awaited) = (HashMap::new(), Vec::new(), Vec::new(), false);
    for mutation in mutations {
        match mutation.judge(locked.remove(&mutation.token)) {
            Ok(Judged::Changes(token, action)) => {
                if let Some(claim) = mutation.claim(&token)
                    && let Err(full) = admit(transaction, claim).await?
                {
                    answers.insert(mutation.token, Err(full.into()));
                    continue;
                }
                news.push(mutation.event(&token, &action));
                awaited |= mutation.awaited;
                changes.push((token, action));
            }
            Ok(Judged::Unchanged(token)) => {
                answers.insert(mutation.token, Ok(Outcome { token, change: None }));
            }
            Err(refusal) => drop(answers.insert(mutation.token, Err(refusal))),
        }
    }
    if news.is_empty() {
        return Ok(Made { answers, events: Vec::new() });
    }
    let Appended { history, longest_lease, events } = log::append_all(transaction, news, awaited).await?;
    let revisions = events.iter().map(|event| event.revision);
    for token in write(transaction, changes.into_iter().zip(revisions)).await? {
        let position = Position { history, revision: token.revision };
        let change = Some(Committed { position, longest_lease });
        answers.insert(token.id, Ok(Outcome { token, change }));
    }
    Ok(Made { answers, events })
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
            Action::ReplaceSecret { secret, expiry, .. } => {
                written.push(tokens::replace_secret(connection, id, secret, expiry, revision).await?);
            }
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
