//! The calls that concern overlaps, suspensions, and tokens that end at once.

use tokenkeep::proto::v1;

use super::{Tokens, changed, failure, patiently, wait};
use crate::history::Answer;

pub async fn end_overlap(client: &mut Tokens, id: &str, fleet: bool) -> Answer {
    let request = v1::EndOverlapRequest { id: id.to_owned(), wait: wait(fleet), ..Default::default() };
    match patiently(client.end_overlap(request)).await {
        Ok(ended) => changed(ended.token, ended.fleet_confirmed),
        Err(status) => failure(&status),
    }
}

pub async fn suspend(client: &mut Tokens, id: &str, fleet: bool) -> Answer {
    let request = v1::SuspendTokenRequest { id: id.to_owned(), wait: wait(fleet), ..Default::default() };
    match patiently(client.suspend_token(request)).await {
        Ok(suspended) => changed(suspended.token, suspended.fleet_confirmed),
        Err(status) => failure(&status),
    }
}

pub async fn resume(client: &mut Tokens, id: &str) -> Answer {
    let request = v1::ResumeTokenRequest { id: id.to_owned(), ..Default::default() };
    match patiently(client.resume_token(request)).await {
        Ok(resumed) => changed(resumed.token, false),
        Err(status) => failure(&status),
    }
}

/// Revokes all tokens of a name, signed with a mark, by which the log tells it again.
pub async fn revoke_group(
    client: &mut Tokens,
    (workspace, group): (&str, &str),
    mark: u32,
    (dry, fleet): (bool, bool),
    request_id: &str,
) -> Answer {
    let filter = v1::TokenFilter { name_prefix: group.to_owned(), ..Default::default() };
    let request = v1::BulkRevokeTokensRequest {
        workspace: workspace.to_owned(),
        filter: Some(filter),
        dry_run: dry,
        initiator: mark.to_string(),
        wait: wait(fleet),
        request_id: request_id.to_owned(),
        ..Default::default()
    };
    match patiently(client.bulk_revoke_tokens(request)).await {
        Ok(answer) if dry || answer.revision == 0 => Answer::Done,
        Ok(answer) => {
            let (revision, confirmed) = (answer.revision, answer.fleet_confirmed);
            Answer::Changed { revision, generation: 0, confirmed }
        }
        Err(status) => failure(&status),
    }
}
