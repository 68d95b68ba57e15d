//! Verdicts on presented tokens.

use std::collections::BTreeMap;

use prost_types::Duration;

use super::{audiences, external_id, scopes, token_type, unix_seconds};
use crate::introspection::{InactiveReason, Verdict};
use crate::proto::v1;
use crate::rpc::outcomes::fitting;
use crate::rpc::requests::introspection::Batch;
use crate::service::Error;

/// What came of each question of a batch, of which these are the verdicts on what could be taken, in order; and whether
/// it shall carry metadata.
pub(crate) fn judged<Failure>(
    batch: Batch,
    verdicts: impl IntoIterator<Item = Result<Verdict, Failure>>,
    failure: impl Fn(Error) -> Failure,
) -> impl Iterator<Item = Result<(Verdict, bool), Failure>> {
    let mut verdicts = verdicts.into_iter();
    batch.0.into_iter().map(move |asked| {
        let include_metadata = asked.map_err(&failure)?.include_metadata;
        let verdict = verdicts.next().unwrap_or_else(|| Err(failure(Error::DeadlineExceeded)))?;
        Ok((verdict, include_metadata))
    })
}

/// Renders what came of a batch.
pub(crate) fn batch(
    judged: impl Iterator<Item = Result<(Verdict, bool), v1::IntrospectionFailure>>,
) -> v1::BatchIntrospectTokensResponse {
    use v1::introspection_outcome::Outcome;
    let outcome = |outcome| v1::IntrospectionOutcome { outcome: Some(outcome) };
    let outcomes = fitting(
        judged,
        |(verdict, include_metadata)| outcome(Outcome::Answer(self::verdict(&verdict, include_metadata))),
        |failure| outcome(Outcome::Failure(failure)),
    );
    v1::BatchIntrospectTokensResponse { outcomes }
}

/// Renders a verdict.
pub(crate) fn verdict(verdict: &Verdict, include_metadata: bool) -> v1::IntrospectTokenResponse {
    let cache_lifetime = Some(Duration::default());
    let (record, missing) = match verdict {
        Verdict::Active { record, missing } => (record, missing),
        Verdict::Inactive(reason) => {
            return v1::IntrospectTokenResponse {
                decision: v1::Decision::DenyInactive.into(),
                inactive_reason: inactive_reason(*reason).into(),
                cache_lifetime,
                ..v1::IntrospectTokenResponse::default()
            };
        }
    };
    let decision = if missing.is_empty() { v1::Decision::Allow } else { v1::Decision::DenyScope };
    v1::IntrospectTokenResponse {
        active: true,
        decision: decision.into(),
        missing_scopes: scopes(missing.iter()),
        inactive_reason: v1::InactiveReason::Unspecified.into(),
        scope: record.scopes.to_text(),
        token_type: "Bearer".to_owned(),
        exp: record.expire_time.map(|time| unix_seconds(time.into())),
        iat: Some(unix_seconds(record.create_time.into())),
        sub: record.principal.as_ref().map_or_else(String::new, |principal| principal.as_str().to_owned()),
        jti: record.id.to_text(),
        workspace: record.workspace.as_str().to_owned(),
        name: record.name.as_str().to_owned(),
        generation: record.generation.0,
        revision: record.revision.0,
        cache_lifetime,
        r#type: token_type(record.token_type).into(),
        aud: audiences(record.extras.audiences.as_slice()),
        username: record.username.as_ref().map_or_else(String::new, |username| username.as_str().to_owned()),
        external_id: external_id(record.external_id),
        metadata: if include_metadata { record.extras.metadata.entries().clone() } else { BTreeMap::new() },
    }
}

pub(super) const fn inactive_reason(reason: Option<InactiveReason>) -> v1::InactiveReason {
    match reason {
        None => v1::InactiveReason::Unspecified,
        Some(InactiveReason::Malformed) => v1::InactiveReason::Malformed,
        Some(InactiveReason::Forged) => v1::InactiveReason::Forged,
        Some(InactiveReason::Unknown) => v1::InactiveReason::Unknown,
        Some(InactiveReason::OtherWorkspace) => v1::InactiveReason::OtherWorkspace,
        Some(InactiveReason::Expired) => v1::InactiveReason::Expired,
        Some(InactiveReason::Revoked) => v1::InactiveReason::Revoked,
        Some(InactiveReason::Superseded) => v1::InactiveReason::Superseded,
        Some(InactiveReason::Invalidated) => v1::InactiveReason::Invalidated,
        Some(InactiveReason::PrincipalDisabled) => v1::InactiveReason::PrincipalDisabled,
        Some(InactiveReason::Suspended) => v1::InactiveReason::Suspended,
        Some(InactiveReason::OtherAudience) => v1::InactiveReason::OtherAudience,
        Some(InactiveReason::OtherAddress) => v1::InactiveReason::OtherAddress,
    }
}
