//! The verdict on a presented token.

use anstyle::AnsiColor;

use super::Details;
use super::text::{labels, list, number, word};
use crate::cli::table::{Cell, told};
use crate::proto::v1;
use crate::proto::v1::Decision;

impl Details for v1::IntrospectTokenResponse {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        vec![
            ("active", if self.active { Cell::coloured("yes", AnsiColor::Green) } else { inactive() }),
            ("decision", decision(self)),
            ("missing scopes", Cell::new(list(&self.missing_scopes))),
            ("why", Cell::new(word(self.inactive_reason().as_str_name(), "INACTIVE_REASON_"))),
            ("id", Cell::new(&self.jti)),
            ("workspace", Cell::new(&self.workspace)),
            ("name", Cell::new(&self.name)),
            ("type", Cell::new(word(self.r#type().as_str_name(), "TOKEN_TYPE_"))),
            ("scope", Cell::new(&self.scope)),
            ("audiences", Cell::new(list(&self.aud))),
            ("principal", Cell::new(&self.sub)),
            ("handle", Cell::new(&self.username)),
            ("created", seconds(self.iat)),
            (
                "expires",
                if self.active && self.exp.is_none() { Cell::new("never") } else { seconds(self.exp) },
            ),
            ("labels", Cell::new(labels(&self.metadata))),
            ("generation", Cell::new(number(self.generation))),
            ("revision", Cell::new(number(self.revision))),
            ("external id", Cell::new(number(self.external_id))),
        ]
    }
}

fn inactive() -> Cell {
    Cell::coloured("no", AnsiColor::Red)
}

fn decision(answer: &v1::IntrospectTokenResponse) -> Cell {
    let colour = match answer.decision() {
        Decision::Allow => AnsiColor::Green,
        Decision::Unspecified | Decision::DenyInactive | Decision::DenyScope => AnsiColor::Red,
    };
    Cell::coloured(word(answer.decision().as_str_name(), "DECISION_"), colour)
}

fn seconds(seconds: Option<i64>) -> Cell {
    let time = seconds.map(|seconds| prost_types::Timestamp { seconds, nanos: 0 });
    Cell::new(told(time.as_ref()))
}
