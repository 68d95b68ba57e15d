//! Several new tokens in one transaction: judged one by one, written in one statement.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Draft, born_expired};
use crate::principal::Principal;
use crate::request::RequestDigest;
use crate::service::gathering::{Made, Work, enter};
use crate::service::{Caller, Error};
use crate::store::requests::Undertaking;
use crate::store::tokens::NewToken;
use crate::store::{StoreError, Transaction, audit, principals, requests, tokens};
use crate::text::PrincipalId;
use crate::token::{Generation, Token, TokenId};
use crate::workspace::WorkspaceId;

impl Work for Draft {
    type Answer = Token;

    fn token(&self) -> TokenId {
        self.id
    }

    fn caller(&self) -> &Caller {
        &self.caller
    }

    fn undertaking(&self) -> Option<Undertaking> {
        let token = Some((self.id, Generation::FIRST));
        Some(self.caller.intention()?.undertaking(token, self.sealed.clone()))
    }

    /// What takes locks of its own, or is likely to be refused when others are written already, goes alone.
    fn can_share(&self) -> bool {
        !self.limits.count_tokens()
            && !self.limits.count_issues()
            && !self.has_external_id()
            && self.is_sure_of_its_expiry()
    }

    async fn make(transaction: &mut Transaction, drafts: &[&Self]) -> Result<Made<Token>, Error> {
        let answers = match drafts {
            [draft] => HashMap::from([(draft.id, Ok(alone(transaction, draft).await?))]),
            drafts => together(transaction, drafts).await?,
        };
        Ok(Made { answers, events: Vec::new() })
    }
}

/// Writes one token. If it is refused, nothing of its transaction is to stay.
async fn alone(transaction: &mut Transaction, draft: &Draft) -> Result<Token, Error> {
    draft.require_entered(&enter(transaction, &[draft]).await?)?;
    let principals = share(transaction, &[draft]).await?;
    draft.insert(transaction, draft.principal(&principals)?).await
}

/// Writes those that are not refused. What is refused only once it is written is an error.
async fn together(
    transaction: &mut Transaction,
    drafts: &[&Draft],
) -> Result<HashMap<TokenId, Result<Token, Error>>, Error> {
    let entered = enter(transaction, drafts).await?;
    let principals = share(transaction, drafts).await?;
    let (mut news, mut answers) = (Vec::new(), HashMap::new());
    for draft in drafts {
        let judged = draft.judge_among(&entered, &principals);
        // What is not written was refused by the database's clock.
        let answer = judged.and_then(|new| {
            news.push(new);
            Err(born_expired())
        });
        answers.insert(draft.id, answer);
    }
    let written = tokens::insert_all(transaction.connection(), news).await?;
    answers.extend(written.into_iter().map(|token| (token.id, Ok(token))));
    let (mut entries, mut withdrawn) = (Vec::new(), Vec::new());
    for draft in drafts {
        if let Some(Ok(token)) = answers.get(&draft.id) {
            draft.judge_written(token)?;
            entries.push(draft.entry(token));
        } else {
            withdrawn.extend(draft.request().filter(|digest| entered.contains(digest)));
        }
    }
    audit::record(transaction.connection(), &entries).await?;
    requests::withdraw(transaction, &withdrawn).await?;
    Ok(answers)
}

/// Principals by whose they are.
type Principals = BTreeMap<(WorkspaceId, PrincipalId), Principal>;

/// Those that the tokens are to act for, which nobody can change until the transaction ends.
async fn share(transaction: &mut Transaction, drafts: &[&Draft]) -> Result<Principals, StoreError> {
    let ids =
        drafts.iter().filter_map(|draft| Some((&draft.words.workspace, draft.words.principal.as_ref()?)));
    let shared = principals::share(transaction, &ids.collect()).await?;
    let shared = shared.into_iter();
    Ok(shared.map(|principal| ((principal.workspace.clone(), principal.id.clone()), principal)).collect())
}

impl Draft {
    fn request(&self) -> Option<RequestDigest> {
        self.caller.intention().map(|intention| intention.digest)
    }

    fn require_entered(&self, entered: &HashSet<RequestDigest>) -> Result<(), Error> {
        let is_entered = self.request().is_none_or(|digest| entered.contains(&digest));
        if is_entered { Ok(()) } else { Err(Error::RequestCarriedOut) }
    }

    /// Who the token is to act for, if anybody.
    fn principal<'shared>(
        &self,
        principals: &'shared Principals,
    ) -> Result<Option<&'shared Principal>, Error> {
        let Some(id) = &self.words.principal else { return Ok(None) };
        let found = principals.get(&(self.words.workspace.clone(), id.clone()));
        found.map(Some).ok_or(Error::PrincipalNotFound)
    }

    fn judge_among(
        &self,
        entered: &HashSet<RequestDigest>,
        principals: &Principals,
    ) -> Result<NewToken, Error> {
        self.require_entered(entered)?;
        self.judge(self.principal(principals)?)
    }
}
