//! Requests that replace, pause, end and judge tokens.

use secrecy::{ExposeSecret as _, SecretString};

use super::{duration, filter, request_id, timestamp, wait};
use crate::proto::v1;
use crate::proto::v1::regenerate_token_request::Expiration as RegenerateExpiration;
use crate::settings::client::IfUnchanged;
use crate::settings::client::life::{
    BulkRevoke, EndOverlap, Introspect, Regenerate, Resume, Revoke, RevokeSecret, Suspend,
};
use crate::settings::client::token::Expiration;

/// The most secrets that one request takes.
const SECRETS: usize = 100;

fn etag(said: &IfUnchanged) -> String {
    said.etag.clone().unwrap_or_default()
}

/// A request for a new secret of the token as this etag knows it.
pub(in crate::cli) fn regenerate(said: &Regenerate, etag: String) -> v1::RegenerateTokenRequest {
    v1::RegenerateTokenRequest {
        id: said.id.clone(),
        etag,
        initiator: said.behalf.initiator(),
        overlap: said.overlap.map(duration),
        request_id: request_id(),
        expiration: expiration(&said.expiration),
    }
}

fn expiration(said: &Expiration) -> Option<RegenerateExpiration> {
    let never = said.never_expires.then_some(RegenerateExpiration::NeverExpires(true));
    let lifetime = said.lifetime.map(|lifetime| RegenerateExpiration::Lifetime(duration(lifetime)));
    let moment = said.expire_time.map(|moment| RegenerateExpiration::ExpireTime(timestamp(moment)));
    lifetime.or(moment).or(never)
}

pub(in crate::cli) fn end_overlap(said: &EndOverlap) -> v1::EndOverlapRequest {
    v1::EndOverlapRequest {
        id: said.id.clone(),
        etag: etag(&said.etag),
        initiator: said.behalf.initiator(),
        wait: wait(said.waiting.wait),
        request_id: request_id(),
    }
}

pub(in crate::cli) fn suspend(said: &Suspend) -> v1::SuspendTokenRequest {
    v1::SuspendTokenRequest {
        id: said.id.clone(),
        reason: said.reason.clone(),
        etag: etag(&said.etag),
        initiator: said.behalf.initiator(),
        wait: wait(said.waiting.wait),
        request_id: request_id(),
    }
}

pub(in crate::cli) fn resume(said: &Resume) -> v1::ResumeTokenRequest {
    v1::ResumeTokenRequest {
        id: said.id.clone(),
        etag: etag(&said.etag),
        initiator: said.behalf.initiator(),
        request_id: request_id(),
    }
}

pub(in crate::cli) fn revoke(said: &Revoke) -> v1::RevokeTokenRequest {
    v1::RevokeTokenRequest {
        id: said.id.clone(),
        reason: said.reason.clone(),
        initiator: said.behalf.initiator(),
        etag: etag(&said.etag),
        wait: wait(said.waiting.wait),
        request_id: request_id(),
    }
}

/// A dry run, or, for so many tokens, the thing itself.
pub(in crate::cli) fn bulk_revoke(said: &BulkRevoke, expected: Option<i64>) -> v1::BulkRevokeTokensRequest {
    v1::BulkRevokeTokensRequest {
        workspace: said.workspace.workspace.clone(),
        filter: Some(filter(&said.filter)),
        dry_run: expected.is_none(),
        expected_count: expected,
        reason: said.reason.clone(),
        initiator: said.behalf.initiator(),
        wait: wait(said.waiting.wait),
        request_id: if expected.is_some() { request_id() } else { String::new() },
    }
}

/// As many requests as these secrets need.
pub(in crate::cli) fn revoke_secrets(
    said: &RevokeSecret,
    secrets: &[SecretString],
) -> Vec<v1::RevokeSecretRequest> {
    let request = |secrets: &[SecretString]| v1::RevokeSecretRequest {
        secrets: secrets.iter().map(|secret| secret.expose_secret().to_owned()).collect(),
        reason: said.reason.clone(),
        initiator: said.behalf.initiator(),
    };
    secrets.chunks(SECRETS).map(request).collect()
}

pub(in crate::cli) fn introspect(said: &Introspect, token: &SecretString) -> v1::IntrospectTokenRequest {
    v1::IntrospectTokenRequest {
        token: token.expose_secret().to_owned(),
        workspace: said.workspace.clone(),
        required_scopes: said.required_scopes.clone(),
        include_metadata: said.labels,
        min_revision: said.min_revision,
        strong: said.strong,
        audience: said.audience.clone(),
        client_address: said.client_address.clone(),
    }
}
