//! Changes of principals, each within its transaction.

use crate::audit::{Action, Details, Entry, Subject};
use crate::principal::{Legacy, NewPrincipal, Principal, PrincipalChange, PrincipalEdit, PrincipalEnd};
use crate::revocation::{Appended, Change, NewEvent};
use crate::service::drafting::Draft;
use crate::service::limiting::admit_legacy;
use crate::service::{Caller, Error, audit, retries};
use crate::store::{self, StoreError, Transaction, log, principals};
use crate::text::{Initiator, Invalid, PrincipalId};
use crate::token::{Precondition, Revision, Token};

pub(super) async fn create(
    transaction: &mut Transaction,
    caller: &Caller,
    new: &NewPrincipal,
    creator: &Initiator,
    draft: Option<&Draft>,
) -> Result<(Principal, Option<Token>), Error> {
    let created = principals::insert(transaction.connection(), new, creator).await?;
    let principal = created.ok_or(Error::PrincipalExists)?;
    let entry = caller.entry(Action::known("create_principal"), creator, subject(&principal));
    let details = Details::from([("scopes", audit::scopes(&principal.scopes))]);
    store::audit::record(transaction.connection(), &[Entry { details, ..entry }]).await?;
    let token = match draft {
        Some(draft) => Some(draft.insert(transaction, Some(&principal)).await?),
        None => None,
    };
    Ok((principal, token))
}

pub(super) async fn update(
    transaction: &mut Transaction,
    caller: &Caller,
    change: PrincipalChange,
    initiator: Initiator,
) -> Result<(Principal, Option<Appended>), Error> {
    let PrincipalChange { workspace, id, precondition, edit, awaited, .. } = change;
    let locked = principals::lock(transaction, &workspace, &[&id]).await?.pop();
    let principal = locked.ok_or(Error::PrincipalNotFound)?;
    caller.require_covering(&principal.scopes)?;
    edit.scopes.as_ref().map_or(Ok(()), |scopes| caller.require_covering(scopes))?;
    require_version(&principal, &precondition)?;
    if edit.changes_nothing_of(&principal) {
        return Ok((principal, None));
    }
    let appended = if edit.concerns_tokens_of(&principal) {
        Some(append(transaction, &principal, initiator.clone(), awaited).await?)
    } else {
        None
    };
    let revision = appended.as_ref().and_then(|appended| appended.events.last());
    let revision = revision.map(|event| event.revision);
    let updated = write(transaction, &principal, edit, revision).await?;
    let entry = caller.entry(Action::known("update_principal"), &initiator, subject(&updated));
    let details = Details::from([
        ("scopes", audit::scopes(&updated.scopes)),
        ("disabled", updated.disabled.to_string()),
    ]);
    let entry = Entry { revision: revision.unwrap_or(Revision::ZERO), details, ..entry };
    store::audit::record(transaction.connection(), &[entry]).await?;
    Ok((updated, appended))
}

/// Another principal may have the handle, which only the database can tell for certain.
async fn write(
    transaction: &mut Transaction,
    principal: &Principal,
    edit: PrincipalEdit,
    revision: Option<Revision>,
) -> Result<Principal, Error> {
    match principals::update(transaction, principal, edit, revision).await {
        Err(StoreError::Conflict { .. }) => Err(Error::PrincipalExists),
        written => Ok(written?),
    }
}

pub(super) async fn delete(
    transaction: &mut Transaction,
    caller: &Caller,
    end: PrincipalEnd,
    initiator: Initiator,
) -> Result<(i64, Option<Appended>), Error> {
    let PrincipalEnd { workspace, id, precondition, legacy, awaited, .. } = end;
    let heir = match &legacy {
        Legacy::Revoked(_) => None,
        Legacy::HandedOver(heir) if *heir == id => {
            return Err(Error::field("hand_over_to", Invalid::Malformed("another principal")));
        }
        Legacy::HandedOver(heir) => Some(heir),
    };
    let wanted: Vec<&PrincipalId> = std::iter::once(&id).chain(heir).collect();
    let mut locked = principals::lock(transaction, &workspace, &wanted).await?;
    (locked.len() == wanted.len()).then_some(()).ok_or(Error::PrincipalNotFound)?;
    let place = locked.iter().position(|locked| locked.id == id).ok_or(Error::PrincipalNotFound)?;
    let principal = locked.swap_remove(place);
    // Tokens get the power of whom they act for.
    locked.first().map_or(Ok(()), |heir| caller.require_covering(&heir.scopes))?;
    require_version(&principal, &precondition)?;
    let count = principals::lock_tokens(transaction, &principal).await?;
    admit_legacy(transaction, &principal, &legacy).await?;
    let appended = append(transaction, &principal, initiator.clone(), awaited).await?;
    let revision = appended.events.last().map_or(principal.revision, |event| event.revision);
    principals::delete(transaction, &principal, &legacy, revision).await?;
    let entry = caller.entry(Action::known("delete_principal"), &initiator, subject(&principal));
    let tokens = ("tokens", count.to_string());
    let details = match legacy {
        Legacy::Revoked(reason) => Details::from([tokens, ("reason", reason.to_string())]),
        Legacy::HandedOver(heir) => Details::from([tokens, ("handed_over_to", heir.to_string())]),
    };
    store::audit::record(transaction.connection(), &[Entry { revision, details, ..entry }]).await?;
    retries::settle(transaction, caller, count, revision).await?;
    Ok((count, Some(appended)))
}

async fn append(
    transaction: &mut Transaction,
    principal: &Principal,
    initiator: Initiator,
    awaited: bool,
) -> Result<Appended, StoreError> {
    let (workspace, id) = (principal.workspace.clone(), principal.id.clone());
    let change = Change::PrincipalChanged { workspace, principal: id };
    log::append_all(transaction, vec![NewEvent { change, initiator }], awaited).await
}

fn subject(principal: &Principal) -> Subject {
    let (workspace, id) = (principal.workspace.clone(), principal.id.clone());
    Subject { workspace: Some(workspace), token: None, principal: Some(id) }
}

fn require_version(principal: &Principal, precondition: &Precondition) -> Result<(), Error> {
    if precondition.holds_for(&principal.etag()) { Ok(()) } else { Err(Error::EtagMismatch) }
}
