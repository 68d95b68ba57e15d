//! What was said on the command line as messages to a server.

mod audit;
mod life;
mod principal;
mod token;
mod workspace;

pub(super) use audit::list as list_audit_events;
pub(super) use life::{
    bulk_revoke, end_overlap, introspect, regenerate, resume, revoke, revoke_secrets, suspend,
};
pub(super) use principal::{
    create as create_principal, delete as delete_principal, edit as edit_principal, get as get_principal,
};
pub(super) use token::{create as create_token, edit as edit_token, filter, is_narrow};
pub(super) use workspace::{create as create_workspace, edit as edit_workspace, edits_limits, invalidate};

use std::time::Duration;

use uuid::Uuid;

use crate::proto::v1;
use crate::settings::client::{Moment, PrincipalKind, Type, Wait};

/// Names one intention: every attempt at it carries the same, and no other one does.
fn request_id() -> String {
    Uuid::new_v4().to_string()
}

fn duration(duration: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    prost_types::Duration { seconds, nanos: duration.subsec_nanos().cast_signed() }
}

fn timestamp(moment: Moment) -> prost_types::Timestamp {
    moment.time().into()
}

fn wait(wait: Wait) -> i32 {
    let wait = match wait {
        Wait::Commit => v1::RevocationWait::Commit,
        Wait::Fleet => v1::RevocationWait::Fleet,
    };
    wait.into()
}

fn token_type(kind: Option<Type>) -> i32 {
    let kind = match kind {
        None => v1::TokenType::Unspecified,
        Some(Type::ReadOnly) => v1::TokenType::ReadOnly,
        Some(Type::FullAccess) => v1::TokenType::FullAccess,
        Some(Type::Custom) => v1::TokenType::Custom,
    };
    kind.into()
}

/// The kind of a principal, as lists take it too.
pub(super) fn principal_kind(kind: Option<PrincipalKind>) -> i32 {
    let kind = match kind {
        None => v1::PrincipalKind::Unspecified,
        Some(PrincipalKind::User) => v1::PrincipalKind::User,
        Some(PrincipalKind::ServiceAccount) => v1::PrincipalKind::ServiceAccount,
    };
    kind.into()
}

/// The mask of an edit: the fields that were said.
fn mask<const N: usize>(fields: [(&str, bool); N]) -> prost_types::FieldMask {
    let said = fields.into_iter().filter(|(_, said)| *said);
    prost_types::FieldMask { paths: said.map(|(field, _)| field.to_owned()).collect() }
}
