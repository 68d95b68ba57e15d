//! Principals.

use anstyle::AnsiColor;

use super::text::{list, number, word, yes};
use super::{Details, Row};
use crate::cli::table::{Cell, or_dash, told};
use crate::proto::v1;

impl Row for v1::Principal {
    const HEADINGS: &'static [&'static str] = &["ID", "KIND", "NAME", "HANDLE", "STATE", "SCOPES"];

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::new(&self.id),
            kind(self),
            Cell::new(&self.name),
            Cell::new(or_dash(&self.handle)),
            state(self),
            Cell::new(list(&self.scopes)),
        ]
    }
}

fn kind(principal: &v1::Principal) -> Cell {
    Cell::new(word(principal.kind().as_str_name(), "PRINCIPAL_KIND_"))
}

fn state(principal: &v1::Principal) -> Cell {
    if principal.disabled {
        Cell::coloured("DISABLED", AnsiColor::Yellow)
    } else {
        Cell::coloured("ENABLED", AnsiColor::Green)
    }
}

impl Details for v1::Principal {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        vec![
            ("workspace", Cell::new(&self.workspace)),
            ("id", Cell::new(&self.id)),
            ("kind", kind(self)),
            ("name", Cell::new(&self.name)),
            ("handle", Cell::new(&self.handle)),
            ("external id", Cell::new(number(self.external_id))),
            ("state", state(self)),
            ("scopes", Cell::new(list(&self.scopes))),
            ("creator", Cell::new(&self.creator)),
            ("created", Cell::new(told(self.create_time.as_ref()))),
            ("updated", Cell::new(told(self.update_time.as_ref()))),
            ("revision", Cell::new(number(self.revision))),
            ("etag", Cell::new(&self.etag)),
        ]
    }
}

fn of(principal: Option<&v1::Principal>) -> Vec<(&'static str, Cell)> {
    principal.map(Details::details).unwrap_or_default()
}

impl Details for v1::CreatePrincipalResponse {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        let mut details = of(self.principal.as_ref());
        if let Some(token) = &self.token {
            details.push(("token", Cell::new(&token.id)));
            details.push(("token name", Cell::new(&token.name)));
            details.push(("NEW SECRET", Cell::name(&self.secret)));
        }
        details
    }
}

impl Details for v1::GetPrincipalResponse {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        of(self.principal.as_ref())
    }
}

impl Details for v1::UpdatePrincipalResponse {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        let mut details = of(self.principal.as_ref());
        details.push(("fleet confirmed", Cell::new(yes(self.fleet_confirmed))));
        details
    }
}

impl Details for v1::DeletePrincipalResponse {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        vec![
            ("tokens", Cell::new(self.token_count.to_string())),
            ("revision", Cell::new(number(self.revision))),
            ("fleet confirmed", Cell::new(yes(self.fleet_confirmed))),
        ]
    }
}
