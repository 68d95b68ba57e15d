//! The operator's token: the first caller, minted by whoever holds the database and the keyring.

use std::sync::Arc;
use std::time::SystemTime;

use super::{Caller, Error, Issued, Issuer, NewTokenWords, Regeneration, Service};
use crate::introspection::Record;
use crate::profile::TokenType;
use crate::store::Connection;
use crate::store::tokens::{Listing, TokenQuery};
use crate::text::{Description, Initiator, Metadata, Name, NamePrefix};
use crate::token::{
    Audiences, Cidrs, Expiry, Generation, Overlap, Precondition, Revision, Scope, ScopeSet, Token,
    TokenFilter, TokenId, TokenState,
};
use crate::workspace::WorkspaceId;

/// The name by which the operator's token is found again.
const NAME: &str = "operator";

/// How many of tokenkeep's own tokens whose name begins alike are looked through for it.
const MOST_NAMED_ALIKE: usize = 100;

impl Service {
    /// Issues the operator's token, as [`Issuer::issue_operator_token`] does.
    ///
    /// # Errors
    /// That it cannot be done now.
    pub async fn issue_operator_token(&self, reset: bool) -> Result<Option<Issued>, Error> {
        self.issuer.issue_operator_token(reset).await
    }
}

impl Issuer {
    /// Issues the operator's token, which may do everything, everywhere. There is one: if it is there already, `reset`
    /// replaces its secret, which ends the old one; without it, nothing is issued.
    ///
    /// # Errors
    /// That it cannot be done now.
    pub async fn issue_operator_token(&self, reset: bool) -> Result<Option<Issued>, Error> {
        let caller = Caller::operator()?;
        let found = find_operator_token(&mut self.store.connection().await?).await?;
        match found {
            None => self.create_token(&caller, operator_words(system()?)?).await.map(Some),
            Some(_) if !reset => Ok(None),
            Some(token) => {
                let (precondition, initiator) = (Precondition::Any, Some(initiator()?));
                let (expiry, overlap) = (Some(Expiry::Never), Overlap::None);
                let regeneration = Regeneration { id: token.id, precondition, initiator, expiry, overlap };
                self.regenerate_token(&caller, regeneration).await.map(Some)
            }
        }
    }
}

/// The operator's token, in whatever state but revoked.
pub(super) async fn find_operator_token(connection: &mut Connection) -> Result<Option<Token>, Error> {
    let filter = TokenFilter {
        states: [TokenState::Active, TokenState::Expired, TokenState::Invalidated, TokenState::Suspended]
            .into(),
        name_prefix: Some(NamePrefix::parse(NAME.to_owned()).map_err(field("name"))?),
        scope: Some(everything()),
        ..TokenFilter::default()
    };
    let (workspace, patience) = (system()?, usize::MAX);
    let query = TokenQuery { workspace, filter, rotation_due_after: None, after: None, patience };
    let mut listing = Listing::begin(connection, query).await?;
    let found = listing.next(connection, MOST_NAMED_ALIKE).await?;
    Ok(found.into_iter().find(|token| token.name.as_str() == NAME))
}

fn system() -> Result<WorkspaceId, Error> {
    WorkspaceId::parse(WorkspaceId::SYSTEM.to_owned()).map_err(field("workspace"))
}

impl Caller {
    /// Whoever holds the database and the keyring may do everything: the proof is having got this far.
    pub(super) fn operator() -> Result<Self, Error> {
        Ok(Self::command(Arc::new(Record {
            id: TokenId::generate(),
            workspace: system()?.into(),
            name: Name::parse(NAME.to_owned()).map_err(field("name"))?,
            principal: None,
            username: None,
            token_type: TokenType::Custom,
            scopes: ScopeSet::new(vec![everything()]).map_err(field("scopes"))?.into(),
            external_id: None,
            profile: None,
            extras: Arc::default(),
            expire_time: None,
            create_time: SystemTime::UNIX_EPOCH.into(),
            generation: Generation::FIRST,
            revision: Revision::ZERO,
        })))
    }
}

const fn everything() -> Scope {
    Scope::known("tokenkeep:*")
}

fn field(path: &'static str) -> impl Fn(crate::text::Invalid) -> Error {
    move |invalid| Error::field(path, invalid)
}

fn initiator() -> Result<Initiator, Error> {
    Initiator::parse("tokenkeep operator-token".to_owned()).map_err(field("initiator"))
}

fn operator_words(workspace: WorkspaceId) -> Result<NewTokenWords, Error> {
    Ok(NewTokenWords {
        workspace,
        name: Name::parse(NAME.to_owned()).map_err(field("name"))?,
        description: Description::parse(
            "Everything, everywhere. Made by `tokenkeep operator-token`.".to_owned(),
        )
        .map_err(field("description"))?,
        principal: None,
        initiator: Some(initiator()?),
        token_type: None,
        scopes: ScopeSet::new(vec![everything()]).map_err(field("scopes"))?,
        audiences: Audiences::default(),
        allowed_cidrs: Cidrs::default(),
        metadata: Metadata::default(),
        expiry: Some(Expiry::Never),
    })
}
