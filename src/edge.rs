//! The edge: what a proxy in front of a product shall do with a client's request, by the product's profile.
//!
//! It knows of no proxy and asks nobody: whoever uses it finds the profile and the verdict. What cannot be decided has no
//! answer here, as it has no verdict.

mod client_headers;
mod identity;

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::introspection::{Freshness, Introspection, Place, Record, Verdict};
use crate::profile::{Audience, Presented, Profile, ProfileName, Response};
use crate::token::Scope;
use crate::workspace::WorkspaceId;

pub use client_headers::ClientHeaders;
pub use identity::PREFIX as IDENTITY_PREFIX;

/// Where a client's request leads, as the proxy's configuration says and no client can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Whose conventions hold.
    pub profile: ProfileName,
    /// The workspace that is reached. If it is not said, any of the profile.
    pub workspace: Option<WorkspaceId>,
    /// What the request needs.
    pub required_scopes: Vec<Scope>,
    /// Where the token is presented.
    pub audience: Option<Audience>,
}

/// A client's request, as a proxy tells it.
#[derive(Debug)]
pub struct ClientRequest {
    /// Where it leads.
    pub route: Route,
    /// Its headers, the credential among them.
    pub headers: ClientHeaders,
    /// The client's address, if somebody knows it whom the caller trusts.
    pub address: Option<IpAddr>,
}

/// What the proxy shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Let the request through.
    Allow {
        /// The headers that tell the product who calls; whatever the client sent under these names is to be replaced.
        set: Vec<(&'static str, String)>,
        /// The names of headers that must not reach the product: the credential, and what would pass for an identity.
        remove: Vec<String>,
    },
    /// Answer the client so.
    Deny(Response),
}

impl ClientRequest {
    /// What is to be asked about the token that the request presents.
    ///
    /// # Errors
    /// The answer, if it presents none, or not in the way of the profile.
    pub fn question(&self, profile: &Profile) -> Result<Introspection, Answer> {
        let (presentation, responses) = (&profile.presentation, &profile.responses);
        let values = self.headers.values(presentation.header.as_str()).map(str::as_bytes);
        let presented = match presentation.presented(values) {
            Presented::Missing => return Err(Answer::Deny(responses.missing.clone())),
            Presented::Invalid => return Err(Answer::Deny(responses.invalid.clone())),
            Presented::Token(token) => token,
        };
        Ok(Introspection {
            presented,
            workspace: self.route.workspace.clone(),
            place: Place { audience: self.route.audience.clone(), address: self.address },
            required_scopes: self.route.required_scopes.clone(),
            freshness: Freshness::Leased,
        })
    }

    /// The answer that a verdict on that token comes to.
    #[must_use]
    pub fn answer(&self, profile: &Profile, verdict: &Verdict) -> Answer {
        let responses = &profile.responses;
        match verdict {
            Verdict::Inactive(_) => Answer::Deny(responses.invalid.clone()),
            Verdict::Active { record, .. } if !self.is_at_home(record) => {
                Answer::Deny(responses.invalid.clone())
            }
            Verdict::Active { missing, .. } if !missing.is_empty() => {
                Answer::Deny(responses.forbidden.clone())
            }
            Verdict::Active { record, .. } => self.allow(profile, record),
        }
    }

    /// Whether the route leads to the token's workspace. One that names none leads to those of its profile: products
    /// that share a tokenkeep do not share their tokens.
    fn is_at_home(&self, record: &Record) -> bool {
        self.route.workspace.is_some() || record.profile.as_deref() == Some(&self.route.profile)
    }

    fn allow(&self, profile: &Profile, record: &Record) -> Answer {
        let (set, unset) = identity::headers(record);
        let is_set = |name: &str| set.iter().any(|(set, _)| *set == name);
        let spoofed = self.headers.names().filter(|name| identity::reads_like(name) && !is_set(name));
        let credential = profile.presentation.header.as_str();
        let remove: BTreeSet<&str> = spoofed.chain(unset).chain([credential]).collect();
        let remove = remove.into_iter().map(str::to_owned).collect();
        Answer::Allow { set, remove }
    }
}

#[cfg(test)]
mod tests;
