//! Answers of `SidecarService`.

use std::time::SystemTime;

use prost_types::{Duration, Timestamp};

use super::introspection::inactive_reason;
use super::{audiences, external_id, scopes, token_type};
use crate::introspection::{Record, StoredTime};
use crate::keyring::TagKey;
use crate::proto::v1;
use crate::rpc::outcomes::outcomes;
use crate::service::{Error, Grant, Resolution};
use crate::token::{Cidr, Kid};

pub(in crate::rpc) fn granted(grant: Grant) -> v1::RenewLeaseResponse {
    v1::RenewLeaseResponse {
        history: grant.needs.history.0.to_string(),
        revision: grant.needs.revision.0,
        lease_length: Some(duration(grant.length)),
        tag_keys: grant.tag_keys.into_iter().map(tag_key).collect(),
        tells_inactive_reasons: grant.tells_inactive_reasons,
    }
}

fn tag_key((kid, key): (Kid, TagKey)) -> v1::TagKey {
    v1::TagKey { kid: kid.to_string(), key: key.expose().to_vec() }
}

pub(in crate::rpc) fn resolutions(resolved: Vec<Result<Resolution, Error>>) -> Vec<v1::TokenResolution> {
    use v1::token_resolution::Resolution as Wire;
    let resolution = |resolution| v1::TokenResolution { resolution: Some(resolution) };
    let told = |resolved| match resolved {
        Resolution::Live { record, expires_in } => Wire::Record(token_record(&record, expires_in)),
        Resolution::Inactive(reason) => Wire::Inactive(inactive_reason(reason).into()),
    };
    outcomes(resolved, |resolved| resolution(told(resolved)), |failure| resolution(Wire::Failure(failure)))
}

fn token_record(record: &Record, expires_in: Option<std::time::Duration>) -> v1::TokenRecord {
    v1::TokenRecord {
        token_id: record.id.to_string(),
        workspace: record.workspace.to_string(),
        name: record.name.as_str().to_owned(),
        principal: record.principal.as_ref().map_or_else(String::new, |it| it.as_str().to_owned()),
        scopes: scopes(record.scopes.iter()),
        metadata: record.extras.metadata.entries().clone(),
        create_time: Some(timestamp(record.create_time)),
        expire_time: record.expire_time.map(timestamp),
        expires_in: expires_in.map(duration),
        generation: record.generation.0,
        revision: record.revision.0,
        r#type: token_type(record.token_type).into(),
        audiences: audiences(record.extras.audiences.as_slice()),
        allowed_cidrs: record.extras.allowed_cidrs.as_slice().iter().map(Cidr::to_string).collect(),
        username: record.username.as_ref().map(ToString::to_string).unwrap_or_default(),
        external_id: external_id(record.external_id),
        profile: record.profile.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

fn timestamp(time: StoredTime) -> Timestamp {
    SystemTime::from(time).into()
}

fn duration(duration: std::time::Duration) -> Duration {
    Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default(),
    }
}
