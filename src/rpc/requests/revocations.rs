//! Requests that end many tokens at once, or secrets that leaked.

use secrecy::SecretString;

use super::{Fields, token_filter};
use crate::proto::v1;
use crate::service::{BulkRevocation, Error, LeakedSecrets};
use crate::text::{Initiator, Invalid, Reason};
use crate::workspace::WorkspaceId;

/// The most secrets in one request.
const MOST_SECRETS: usize = 100;

pub(in crate::rpc) fn bulk_revoke_tokens(
    request: v1::BulkRevokeTokensRequest,
) -> Result<BulkRevocation, Error> {
    let mut fields = Fields::default();
    let workspace = fields.take("workspace", WorkspaceId::parse(request.workspace));
    let filter = fields.take("filter", request.filter.ok_or(Invalid::Missing));
    let filter = filter.and_then(|filter| token_filter(&mut fields, filter));
    let expected_count = request.expected_count;
    if expected_count.is_some_and(|count| count < 0) {
        fields.note("expected_count", Invalid::Malformed("0 or more"));
    }
    let reason = fields.take("reason", Reason::parse(request.reason));
    let initiator = fields.optional("initiator", request.initiator, Initiator::parse);
    let awaited = fields.awaited(request.wait);
    let dry_run = request.dry_run;
    let words = || {
        let (workspace, filter, reason) = (workspace?, filter?, reason?);
        let (initiator, awaited) = (initiator?, awaited?);
        Some(BulkRevocation { workspace, filter, dry_run, expected_count, reason, initiator, awaited })
    };
    fields.finish(words())
}

pub(in crate::rpc) fn revoke_secret(request: v1::RevokeSecretRequest) -> Result<LeakedSecrets, Error> {
    let secrets: Vec<SecretString> = request.secrets.into_iter().map(SecretString::from).collect();
    let mut fields = Fields::default();
    fields.count("secrets", secrets.len(), MOST_SECRETS);
    let reason = fields.take("reason", Reason::parse(request.reason));
    let initiator = fields.optional("initiator", request.initiator, Initiator::parse);
    let words = || Some(LeakedSecrets { secrets, reason: reason?, initiator: initiator? });
    fields.finish(words())
}
