//! Workspaces.

use super::text::{duration, number, word, yes};
use super::{Details, Row};
use crate::cli::table::{Cell, or_dash, told};
use crate::proto::v1;

impl Row for v1::Workspace {
    const HEADINGS: &'static [&'static str] = &["ID", "NAME", "PREFIX", "PROFILE", "CREATED"];

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::new(&self.id),
            Cell::new(&self.name),
            Cell::new(&self.token_prefix),
            Cell::new(or_dash(&self.profile)),
            Cell::new(told(self.create_time.as_ref())),
        ]
    }
}

impl Details for v1::Workspace {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        let limits = self.limits.unwrap_or_default();
        vec![
            ("id", Cell::new(&self.id)),
            ("name", Cell::new(&self.name)),
            ("token prefix", Cell::new(&self.token_prefix)),
            ("profile", Cell::new(&self.profile)),
            ("max tokens", Cell::new(number(limits.max_tokens))),
            ("max tokens per principal", Cell::new(number(limits.max_tokens_per_principal))),
            ("max lifetime", Cell::new(duration(limits.max_lifetime.as_ref()))),
            ("max issues per minute", Cell::new(number(limits.max_issues_per_minute))),
            ("superseded use", Cell::new(word(self.superseded_use().as_str_name(), "SUPERSEDED_USE_"))),
            ("created", Cell::new(told(self.create_time.as_ref()))),
            ("updated", Cell::new(told(self.update_time.as_ref()))),
            ("revision", Cell::new(number(self.revision))),
            ("etag", Cell::new(&self.etag)),
        ]
    }
}

fn of(workspace: Option<&v1::Workspace>) -> Vec<(&'static str, Cell)> {
    workspace.map(Details::details).unwrap_or_default()
}

impl Details for v1::CreateWorkspaceResponse {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        of(self.workspace.as_ref())
    }
}

impl Details for v1::GetWorkspaceResponse {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        of(self.workspace.as_ref())
    }
}

impl Details for v1::UpdateWorkspaceResponse {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        of(self.workspace.as_ref())
    }
}

impl Details for v1::InvalidateWorkspaceTokensResponse {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        let mut details = of(self.workspace.as_ref());
        details.push(("tokens", Cell::new(self.token_count.to_string())));
        details.push(("fleet confirmed", Cell::new(yes(self.fleet_confirmed))));
        details
    }
}
