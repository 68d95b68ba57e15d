//! Frames of the stream of changes.

use anstyle::AnsiColor;

use super::Row;
use super::text::word;
use crate::cli::table::{Cell, or_dash, told};
use crate::proto::v1;
use crate::proto::v1::RevocationKind;
use crate::proto::v1::watch_revocations_response::Frame;

impl Row for v1::WatchRevocationsResponse {
    const HEADINGS: &'static [&'static str] =
        &["TIME", "REVISION", "KIND", "WORKSPACE", "SUBJECT", "INITIATOR", "REASON"];

    fn cells(&self) -> Vec<Cell> {
        let revision = Cell::new(self.revision.to_string());
        match &self.frame {
            Some(Frame::Event(event)) => vec![
                Cell::new(told(event.event_time.as_ref())),
                revision,
                kind(event),
                Cell::new(or_dash(&event.workspace)),
                Cell::new(or_dash(&subject(event))),
                Cell::new(or_dash(&event.initiator)),
                Cell::new(&event.reason),
            ],
            Some(Frame::Progress(_)) | None => vec![Cell::new("-"), revision, Cell::new("progress")],
        }
    }
}

fn kind(event: &v1::RevocationEvent) -> Cell {
    let colour = match event.kind() {
        RevocationKind::Revoked
        | RevocationKind::BulkRevoked
        | RevocationKind::WorkspaceInvalidated
        | RevocationKind::KeyRetired => AnsiColor::Red,
        RevocationKind::SecretReplaced | RevocationKind::Suspended => AnsiColor::Yellow,
        RevocationKind::Resumed => AnsiColor::Green,
        RevocationKind::Unspecified
        | RevocationKind::Updated
        | RevocationKind::PrincipalChanged
        | RevocationKind::WorkspaceUpdated
        | RevocationKind::ProfileUpdated => return Cell::new(name(event)),
    };
    Cell::coloured(name(event), colour)
}

fn name(event: &v1::RevocationEvent) -> String {
    word(event.kind().as_str_name(), "REVOCATION_KIND_")
}

/// What it concerns, besides the workspace.
fn subject(event: &v1::RevocationEvent) -> String {
    let one = [&event.token_id, &event.principal, &event.profile, &event.kid];
    match one.into_iter().find(|subject| !subject.is_empty()) {
        Some(subject) => subject.clone(),
        None if event.token_ids.is_empty() => String::new(),
        None => format!("{} tokens", event.token_ids.len()),
    }
}
