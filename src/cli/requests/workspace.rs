//! Requests about workspaces.

use super::{duration, mask, request_id, wait};
use crate::proto::v1;
use crate::settings::client::SupersededUse;
use crate::settings::client::workspace::{Create, Edit, Invalidate, Made};

pub(in crate::cli) fn create(said: &Create) -> v1::CreateWorkspaceRequest {
    let limits = limits(&said.made, v1::WorkspaceLimits::default());
    let workspace = v1::Workspace {
        name: said.name.clone().unwrap_or_else(|| said.id.clone()),
        limits: edits_limits(&said.made).then_some(limits),
        ..made(&said.id, &said.made)
    };
    v1::CreateWorkspaceRequest { workspace: Some(workspace), request_id: request_id() }
}

/// An edit of a workspace that has these limits and this etag.
pub(in crate::cli) fn edit(said: &Edit, now: &v1::Workspace) -> v1::UpdateWorkspaceRequest {
    let made_of = &said.made;
    let workspace = v1::Workspace {
        name: said.name.clone().unwrap_or_default(),
        etag: said.etag.etag.clone().unwrap_or_else(|| now.etag.clone()),
        limits: Some(limits(made_of, now.limits.unwrap_or_default())),
        ..made(&said.id, made_of)
    };
    let update_mask = mask([
        ("name", said.name.is_some()),
        ("token_prefix", made_of.token_prefix.is_some()),
        ("profile", made_of.profile.is_some()),
        ("limits", edits_limits(made_of)),
        ("superseded_use", made_of.superseded_use.is_some()),
    ]);
    v1::UpdateWorkspaceRequest {
        workspace: Some(workspace),
        update_mask: Some(update_mask),
        request_id: request_id(),
    }
}

/// A dry run, or, of the workspace as this etag knows it, the thing itself.
pub(in crate::cli) fn invalidate(
    said: &Invalidate,
    etag: Option<String>,
) -> v1::InvalidateWorkspaceTokensRequest {
    let dry_run = etag.is_none();
    v1::InvalidateWorkspaceTokensRequest {
        id: said.id.clone(),
        dry_run,
        etag: said.etag.etag.clone().or(etag).unwrap_or_default(),
        reason: said.reason.clone(),
        initiator: said.behalf.initiator(),
        wait: wait(said.waiting.wait),
        request_id: if dry_run { String::new() } else { request_id() },
    }
}

/// Whether anything is said of the limits, which the API takes only all together.
pub(in crate::cli) fn edits_limits(said: &Made) -> bool {
    said.no_max_lifetime
        || said.max_tokens.is_some()
        || said.max_tokens_per_principal.is_some()
        || said.max_lifetime.is_some()
        || said.max_issues_per_minute.is_some()
}

fn limits(said: &Made, now: v1::WorkspaceLimits) -> v1::WorkspaceLimits {
    let lifetime = if said.no_max_lifetime { None } else { now.max_lifetime };
    v1::WorkspaceLimits {
        max_tokens: said.max_tokens.unwrap_or(now.max_tokens),
        max_tokens_per_principal: said.max_tokens_per_principal.unwrap_or(now.max_tokens_per_principal),
        max_lifetime: said.max_lifetime.map(duration).or(lifetime),
        max_issues_per_minute: said.max_issues_per_minute.unwrap_or(now.max_issues_per_minute),
    }
}

fn made(id: &str, said: &Made) -> v1::Workspace {
    let superseded_use = match said.superseded_use {
        None => v1::SupersededUse::Unspecified,
        Some(SupersededUse::Count) => v1::SupersededUse::Count,
        Some(SupersededUse::Revoke) => v1::SupersededUse::Revoke,
    };
    v1::Workspace {
        id: id.to_owned(),
        token_prefix: said.token_prefix.clone().unwrap_or_default(),
        profile: said.profile.clone().filter(|profile| profile != "none").unwrap_or_default(),
        superseded_use: superseded_use.into(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an edit does not speak of stays as it is, though the API takes all limits at once.
    #[test]
    fn an_edit_of_one_limit_keeps_the_others() {
        let said = Made {
            token_prefix: None,
            profile: None,
            max_tokens: Some(0),
            max_tokens_per_principal: None,
            max_lifetime: None,
            no_max_lifetime: false,
            max_issues_per_minute: None,
            superseded_use: None,
        };
        let lifetime = Some(prost_types::Duration { seconds: 60, nanos: 0 });
        let now = v1::WorkspaceLimits {
            max_tokens: 5,
            max_tokens_per_principal: 3,
            max_lifetime: lifetime,
            max_issues_per_minute: 9,
        };
        assert_eq!(limits(&said, now), v1::WorkspaceLimits { max_tokens: 0, ..now });
        let free = Made { no_max_lifetime: true, ..said };
        assert_eq!(limits(&free, now).max_lifetime, None);
    }
}
