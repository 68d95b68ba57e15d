//! The vocabulary of introspection: what is asked about a presented token, what is known of a live one, and the verdict.

mod stored_time;

use std::net::IpAddr;
use std::sync::Arc;

use secrecy::SecretString;

pub use self::stored_time::StoredTime;
use crate::profile::{Audience, ProfileName, TokenType};
use crate::text::{Handle, Metadata, Name, PrincipalId};
use crate::token::{Audiences, Cidrs, ExternalId, Generation, Revision, Scope, ScopeSet, TokenId};
use crate::workspace::WorkspaceId;

/// What introspections of a live token, of which one secret is presented, are answered from. It holds no decision: workspace, audience, address and scopes
/// are judged anew for each request.
///
/// There are as many as tokens are known, so what tokens have in common can be shared among their records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The id.
    pub id: TokenId,
    /// The workspace it belongs to.
    pub workspace: Arc<WorkspaceId>,
    /// What people call it.
    pub name: Name,
    /// Who it acts for.
    pub principal: Option<Arc<PrincipalId>>,
    /// What the product calls whom it acts for.
    pub username: Option<Arc<Handle>>,
    /// What kind of power it has.
    pub token_type: TokenType,
    /// What it can do now: its own scopes, as far as its type, the profile and its principal allow them.
    pub scopes: Arc<ScopeSet>,
    /// The number that the product names it by.
    pub external_id: Option<ExternalId>,
    /// The profile of its workspace.
    pub profile: Option<Arc<ProfileName>>,
    /// What most tokens have nothing of.
    pub extras: Arc<Extras>,
    /// When the secret that is presented ends, alone or with the token; `None` for never.
    pub expire_time: Option<StoredTime>,
    /// When it was created.
    pub create_time: StoredTime,
    /// Which secret is presented: the token's present one, or the one before while that works too.
    pub generation: Generation,
    /// The position of the last change that concerned it.
    pub revision: Revision,
}

/// What few tokens have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Extras {
    /// Where it may be presented.
    pub audiences: Audiences,
    /// From where it may be used.
    pub allowed_cidrs: Cidrs,
    /// The caller's own labels.
    pub metadata: Metadata,
}

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
    /// Its secret was invalidated, with all others of its workspace or of its server key.
    Invalidated,
    /// Its principal is disabled, or deleted.
    PrincipalDisabled,
    /// It is suspended.
    Suspended,
    /// None of its audiences was named.
    OtherAudience,
    /// The client's address is in none of its blocks, or not known.
    OtherAddress,
}

/// How fresh an answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Freshness {
    /// As fresh as a lease makes it.
    #[default]
    Leased,
    /// From nothing older than a revision.
    AtLeast(Revision),
    /// From nothing older than the arrival of the request.
    Strong,
}

/// Where a token is presented, as far as that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Which audience.
    pub audience: Option<Audience>,
    /// The address of the end client.
    pub address: Option<IpAddr>,
}

/// What is asked about a presented token.
#[derive(Debug)]
pub struct Introspection {
    /// What the client presented.
    pub presented: SecretString,
    /// The workspace it was presented in, if that matters.
    pub workspace: Option<WorkspaceId>,
    /// Where it was presented.
    pub place: Place,
    /// What the client's request needs.
    pub required_scopes: Vec<Scope>,
    /// How fresh the answer must be.
    pub freshness: Freshness,
}

/// The answer. It is never given when it cannot be known.
#[derive(Debug)]
pub enum Verdict {
    /// Not a live token here; the reason only for callers granted it.
    Inactive(Option<InactiveReason>),
    /// A live token, and which of the required scopes it lacks.
    Active {
        /// What is known of it.
        record: Arc<Record>,
        /// The required scopes that it does not grant.
        missing: Vec<Scope>,
    },
}

impl Record {
    /// Whether the token may be used at a place.
    ///
    /// # Errors
    /// Why not.
    pub fn suits(&self, place: &Place) -> Result<(), InactiveReason> {
        if !self.extras.audiences.admit(place.audience.as_ref()) {
            return Err(InactiveReason::OtherAudience);
        }
        if !self.extras.allowed_cidrs.admit(place.address) {
            return Err(InactiveReason::OtherAddress);
        }
        Ok(())
    }
}

impl Verdict {
    /// The verdict on a live token, as far as scopes go.
    #[must_use]
    pub fn on(record: Arc<Record>, required: &[Scope]) -> Self {
        let missing = record.scopes.missing(required).into_iter().cloned().collect();
        Self::Active { record, missing }
    }
}
