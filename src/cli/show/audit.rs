//! Events of the audit trail.

use anstyle::AnsiColor;

use super::Row;
use super::text::labels;
use crate::cli::table::{Cell, or_dash, told};
use crate::proto::v1;

impl Row for v1::AuditEvent {
    const HEADINGS: &'static [&'static str] =
        &["TIME", "ACTION", "OUTCOME", "WORKSPACE", "SUBJECT", "INITIATOR", "CALLER", "PEER", "DETAILS"];

    fn cells(&self) -> Vec<Cell> {
        let subject = if self.token_id.is_empty() { &self.principal } else { &self.token_id };
        vec![
            Cell::new(told(self.event_time.as_ref())),
            Cell::new(&self.action),
            outcome(self),
            Cell::new(or_dash(&self.workspace)),
            Cell::new(or_dash(subject)),
            Cell::new(or_dash(&self.initiator)),
            Cell::new(or_dash(&self.caller)),
            Cell::new(or_dash(&self.peer_address)),
            Cell::new(labels(&self.details)),
        ]
    }
}

fn outcome(event: &v1::AuditEvent) -> Cell {
    match event.refusal.as_str() {
        "" | "UNSPECIFIED" => Cell::coloured("done", AnsiColor::Green),
        refusal => Cell::coloured(refusal, AnsiColor::Red),
    }
}
