//! Tokens.

use anstyle::AnsiColor;

use super::text::{labels, list, number, word, yes};
use super::{Details, Row};
use crate::cli::table::{Cell, or_dash, told};
use crate::proto::v1;
use crate::proto::v1::TokenState;

impl Row for v1::Token {
    const HEADINGS: &'static [&'static str] =
        &["ID", "NAME", "STATE", "PRINCIPAL", "SECRET", "CREATED", "EXPIRES", "LAST USED"];

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::new(&self.id),
            Cell::new(&self.name),
            state(self),
            Cell::new(or_dash(&self.principal)),
            Cell::new(&self.obfuscated_secret),
            Cell::new(told(self.create_time.as_ref())),
            Cell::new(expiry(self)),
            Cell::new(or_dash(&told(self.last_use_time.as_ref()))),
        ]
    }
}

/// The state, as it is good or bad news.
fn state(token: &v1::Token) -> Cell {
    let colour = match token.state() {
        TokenState::Active => AnsiColor::Green,
        TokenState::Suspended | TokenState::Expired => AnsiColor::Yellow,
        TokenState::Revoked | TokenState::Invalidated => AnsiColor::Red,
        TokenState::Unspecified => AnsiColor::White,
    };
    Cell::coloured(word(token.state().as_str_name(), "TOKEN_STATE_"), colour)
}

fn expiry(token: &v1::Token) -> String {
    token.expire_time.as_ref().map_or_else(|| "never".to_owned(), |time| told(Some(time)))
}

impl Details for v1::Token {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        let mut details = identity(self);
        details.extend(power(self));
        details.extend(life(self));
        details.extend(use_of(self));
        details
    }
}

fn identity(token: &v1::Token) -> Vec<(&'static str, Cell)> {
    vec![
        ("id", Cell::new(&token.id)),
        ("workspace", Cell::new(&token.workspace)),
        ("name", Cell::new(&token.name)),
        ("description", Cell::new(&token.description)),
        ("state", state(token)),
        ("principal", Cell::new(&token.principal)),
        ("principal kind", Cell::new(word(token.principal_kind().as_str_name(), "PRINCIPAL_KIND_"))),
        ("creator", Cell::new(&token.creator)),
        ("external id", Cell::new(number(token.external_id))),
    ]
}

fn power(token: &v1::Token) -> Vec<(&'static str, Cell)> {
    vec![
        ("type", Cell::new(word(token.r#type().as_str_name(), "TOKEN_TYPE_"))),
        ("scopes", Cell::new(list(&token.scopes))),
        ("audiences", Cell::new(list(&token.audiences))),
        ("allowed CIDRs", Cell::new(list(&token.allowed_cidrs))),
        ("labels", Cell::new(labels(&token.metadata))),
    ]
}

fn life(token: &v1::Token) -> Vec<(&'static str, Cell)> {
    let time = |time: &Option<prost_types::Timestamp>| Cell::new(told(time.as_ref()));
    vec![
        ("created", time(&token.create_time)),
        ("updated", time(&token.update_time)),
        ("expires", Cell::new(expiry(token))),
        ("rotation due", time(&token.rotation_due_time)),
        ("suspended", time(&token.suspend_time)),
        ("suspend reason", Cell::new(&token.suspend_reason)),
        ("revoked", time(&token.revoke_time)),
        ("revoke reason", Cell::new(&token.revoke_reason)),
        ("revision", Cell::new(number(token.revision))),
        ("etag", Cell::new(&token.etag)),
    ]
}

fn use_of(token: &v1::Token) -> Vec<(&'static str, Cell)> {
    let time = |time: &Option<prost_types::Timestamp>| Cell::new(told(time.as_ref()));
    let mut details = vec![
        ("secret", Cell::new(&token.obfuscated_secret)),
        ("generation", Cell::new(number(token.generation))),
        ("last used", Cell::new(or_dash(&told(token.last_use_time.as_ref())))),
        ("uses", Cell::new(number(token.use_count))),
        ("uses of dead secrets", Cell::new(number(token.superseded_use_count))),
        ("dead secret last used", time(&token.superseded_use_time)),
    ];
    if let Some(previous) = &token.previous_secret {
        details.push(("previous secret", Cell::new(&previous.obfuscated_secret)));
        details.push(("previous secret ends", time(&previous.expire_time)));
        details.push(("previous last used", Cell::new(or_dash(&told(previous.last_use_time.as_ref())))));
    }
    details
}

/// The token in an answer, if it is there.
fn of(token: Option<&v1::Token>) -> Vec<(&'static str, Cell)> {
    token.map(Details::details).unwrap_or_default()
}

/// The lines of a token, and whether the fleet has confirmed what was done to it.
fn confirmed(token: Option<&v1::Token>, fleet_confirmed: bool) -> Vec<(&'static str, Cell)> {
    let mut details = of(token);
    details.push(("fleet confirmed", Cell::new(yes(fleet_confirmed))));
    details
}

/// The lines of a token, and its new secret if it is to be shown.
fn issued(token: Option<&v1::Token>, secret: &str) -> Vec<(&'static str, Cell)> {
    let mut details = of(token);
    details.push(("NEW SECRET", Cell::name(secret)));
    details
}

impl Details for v1::CreateTokenResponse {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        issued(self.token.as_ref(), &self.secret)
    }
}

impl Details for v1::RegenerateTokenResponse {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        issued(self.token.as_ref(), &self.secret)
    }
}

impl Details for v1::GetTokenResponse {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        of(self.token.as_ref())
    }
}

impl Details for v1::UpdateTokenResponse {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        of(self.token.as_ref())
    }
}

impl Details for v1::ResumeTokenResponse {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        of(self.token.as_ref())
    }
}

impl Details for v1::SuspendTokenResponse {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        confirmed(self.token.as_ref(), self.fleet_confirmed)
    }
}

impl Details for v1::RevokeTokenResponse {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        confirmed(self.token.as_ref(), self.fleet_confirmed)
    }
}

impl Details for v1::EndOverlapResponse {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        confirmed(self.token.as_ref(), self.fleet_confirmed)
    }
}

impl Details for v1::CountTokensResponse {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        let name = if self.more { "tokens, at least" } else { "tokens" };
        vec![(name, Cell::new(self.count.to_string()))]
    }
}

impl Details for v1::BulkRevokeTokensResponse {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        vec![
            ("tokens", Cell::new(self.token_count.to_string())),
            ("revision", Cell::new(number(self.revision))),
            ("fleet confirmed", Cell::new(yes(self.fleet_confirmed))),
        ]
    }
}

impl Details for v1::RevokeSecretResponse {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        vec![("secrets", Cell::new("none of them works any more"))]
    }
}
