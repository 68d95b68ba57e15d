//! Requests that may be repeated: each is carried out once, and whoever repeats it is told what came of it, whichever
//! server they reach and whether or not they heard the first answer.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::tokens::known_to;
use super::{Caller, Error, Issued, Service};
use crate::keyring::{ReplayKeys, today};
use crate::request::{Fingerprint, RequestDigest, RequestId, Sealed};
use crate::revocation::Committed;
use crate::store::requests::{self, Done, Undertaking};
use crate::store::{Store, StoreError, Transaction, tokens};
use crate::token::{Generation, IssuedSecret, Revision, TokenId};

/// A request that may be repeated.
#[derive(Debug, Clone)]
pub(super) struct Intention {
    id: RequestId,
    /// What recognises it.
    pub(super) digest: RequestDigest,
    fingerprint: Fingerprint,
    /// For how long it is recognised.
    pub(super) window: Duration,
    keys: Arc<ReplayKeys>,
}

impl Intention {
    /// Seals the secret that the request makes, so that only who repeats it can be shown it.
    pub(super) fn seal(&self, secret: &IssuedSecret) -> Result<Sealed, Error> {
        let day = today();
        let sealed = self.keys.seal(day, &self.id, self.digest, secret.expose());
        sealed.map_err(|error| Error::Internal(Box::new(error)))
    }

    /// What is entered before the request is carried out.
    pub(super) const fn undertaking(
        &self,
        token: Option<(TokenId, Generation)>,
        sealed: Option<Sealed>,
    ) -> Undertaking {
        Undertaking { digest: self.digest, fingerprint: self.fingerprint, token, sealed }
    }

    fn unseal(&self, token: TokenId, sealed: Option<&Sealed>) -> Result<IssuedSecret, Error> {
        let unavailable = Error::SecretUnavailable(token);
        let text = sealed.and_then(|sealed| self.keys.unseal(sealed, &self.id, self.digest).ok());
        text.and_then(|text| IssuedSecret::again(text).ok()).ok_or(unavailable)
    }
}

/// Begins a transaction that carries out what a caller asks for, unless that was carried out before.
pub(super) async fn begin(
    store: &Store,
    caller: &Caller,
    token: Option<(TokenId, Generation)>,
    sealed: Option<Sealed>,
) -> Result<Transaction, Error> {
    let mut transaction = store.begin().await?;
    let Some(intention) = caller.intention() else { return Ok(transaction) };
    let undertaking = intention.undertaking(token, sealed);
    let entered = requests::enter(&mut transaction, &[undertaking], intention.window).await;
    match entered.map_err(Error::from) {
        Ok(entered) if entered.contains(&intention.digest) => Ok(transaction),
        Ok(_) => transaction.finish(Err(Error::RequestCarriedOut)).await,
        Err(error) => transaction.finish(Err(error)).await,
    }
}

/// Notes in a transaction what the request of a caller has come to, for those that concern many tokens.
pub(super) async fn settle(
    transaction: &mut Transaction,
    caller: &Caller,
    count: i64,
    revision: Revision,
) -> Result<(), StoreError> {
    match caller.intention() {
        Some(intention) => requests::settle(transaction, intention.digest, count, revision).await,
        None => Ok(()),
    }
}

/// What became of many tokens.
pub(super) struct Many {
    pub(super) token_count: i64,
    pub(super) revision: Revision,
    /// The change, if it was made by this attempt.
    pub(super) committed: Option<Committed>,
}

impl Many {
    pub(super) fn of(done: &Done) -> Self {
        Self { token_count: done.count.unwrap_or_default(), revision: done.revision, committed: None }
    }
}

type Turn = tokio::sync::Mutex<()>;

/// Recognises requests, and lets the attempts at one that reach this server go on one after another.
pub(super) struct Retries {
    keys: Arc<ReplayKeys>,
    window: Duration,
    turns: Mutex<HashMap<RequestDigest, Weak<Turn>>>,
}

impl Retries {
    pub(super) fn new(keys: Arc<ReplayKeys>, window: Duration) -> Self {
        Self { keys, window, turns: Mutex::default() }
    }

    /// So many secrets were never waited for at once; more than these are looked through for what is over.
    const MANY: usize = 1_000;

    fn turn(&self, digest: RequestDigest) -> Arc<Turn> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(&digest).and_then(Weak::upgrade) {
            return turn;
        }
        if turns.len() >= Self::MANY {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Arc::new(Turn::default());
        turns.insert(digest, Arc::downgrade(&turn));
        turn
    }
}

impl Service {
    /// Recognises the request that a caller makes, if it has an id; `body` is all the rest of it.
    ///
    /// # Errors
    /// [`Error::InvalidFields`], naming `request_id`.
    pub fn recognise(
        &self,
        caller: Caller,
        rpc: &str,
        request_id: &str,
        body: impl FnOnce() -> Vec<u8>,
    ) -> Result<Caller, Error> {
        if request_id.is_empty() {
            return Ok(caller);
        }
        let id = RequestId::parse(request_id).map_err(|invalid| Error::field("request_id", invalid))?;
        let Retries { keys, window, .. } = &self.retries;
        let digest = keys.digest(caller.token(), rpc, &id);
        let fingerprint = keys.fingerprint(rpc, &body());
        let (keys, window) = (Arc::clone(keys), *window);
        Ok(caller.intending(Intention { id, digest, fingerprint, window, keys }))
    }

    /// Carries out what a caller asks for, or, if it was carried out before, tells with `replay` what came of it. Attempts
    /// that come at the same time wait for the first, so that they make neither secrets nor hashes.
    pub(super) async fn once<Answer, Replay>(
        &self,
        caller: &Caller,
        work: impl Future<Output = Result<Answer, Error>> + Send,
        replay: impl FnOnce(Done) -> Replay + Send,
    ) -> Result<Answer, Error>
    where
        Replay: Future<Output = Result<Answer, Error>> + Send,
    {
        // It is large, and every caller of this would be as large.
        let work = Box::pin(work);
        let Some(intention) = caller.intention() else { return work.await };
        let turn = self.retries.turn(intention.digest);
        let _turn = turn.lock().await;
        if let Some(done) = self.done(intention).await? {
            return replay(done).await;
        }
        match work.await {
            // Another server was faster.
            Err(Error::RequestCarriedOut) => match self.done(intention).await? {
                Some(done) => replay(done).await,
                // It was forgotten meanwhile: the window is over.
                None => Err(Error::Overloaded),
            },
            answer => answer,
        }
    }

    async fn done(&self, intention: &Intention) -> Result<Option<Done>, Error> {
        let found =
            requests::find(&mut self.store.connection().await?, intention.digest, intention.window).await?;
        match found {
            None => Ok(None),
            Some(done) if done.fingerprint != intention.fingerprint => Err(Error::RequestIdReused),
            Some(done) => {
                let mut transaction = self.store.begin().await?;
                let confirmed = transaction.confirm_what_was_read().await;
                transaction.finish(confirmed).await?;
                Ok(Some(done))
            }
        }
    }

    /// Waits, if that is wanted, until no cache answers from before a change of many tokens, but not up to a deadline.
    pub(super) async fn wait_for_many(&self, many: &Many, awaited: bool, deadline: Option<Instant>) -> bool {
        match many.committed {
            _ if !awaited => false,
            Some(committed) => self.wait_for_fleet(committed, deadline).await,
            None if many.revision == Revision::ZERO => false,
            // It is so all the same, if it cannot be told whether everybody knows.
            None => self.wait_for_revision(many.revision, deadline).await.unwrap_or(false),
        }
    }

    /// Shows again the secret that a request has made, unless it was replaced.
    pub(super) async fn issued_before(&self, caller: &Caller, done: Done) -> Result<Issued, Error> {
        let (id, generation) = done.token.ok_or_else(|| unsaid("requests.token"))?;
        let intention = caller.intention().ok_or_else(|| unsaid("requests.digest"))?;
        let found = tokens::find(&mut self.store.connection().await?, id).await?;
        let token = known_to(caller, id, found)?;
        caller.require_covering(&token.scopes)?;
        if token.generation != generation {
            return Err(Error::SecretSuperseded(id));
        }
        let secret = intention.unseal(id, done.sealed.as_ref())?;
        Ok(Issued { token: self.profiles.advise(token), secret })
    }
}

fn unsaid(what: &'static str) -> Error {
    StoreError::Corrupt { what }.into()
}
