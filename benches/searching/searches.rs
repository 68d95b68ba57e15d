//! The searches: each filter alone, where few match and they are the oldest, and where many do.

use std::time::Duration;

use tokenkeep::proto::v1;

use crate::ago;

/// A search.
#[derive(Clone, Copy)]
pub(crate) struct Search {
    pub(crate) name: &'static str,
    pub(crate) filter: fn() -> v1::TokenFilter,
}

const fn search(name: &'static str, filter: fn() -> v1::TokenFilter) -> Search {
    Search { name, filter }
}

fn filter(change: impl FnOnce(&mut v1::TokenFilter)) -> v1::TokenFilter {
    let mut filter = v1::TokenFilter::default();
    change(&mut filter);
    filter
}

fn in_state(state: v1::TokenState) -> v1::TokenFilter {
    filter(|filter| filter.states = vec![state.into()])
}

fn within(days: i64) -> v1::TokenFilter {
    filter(|filter| filter.expiring_within = Some(prost_types::Duration { seconds: days * 86_400, nanos: 0 }))
}

const fn days(count: u64) -> Duration {
    Duration::from_hours(24 * count)
}

/// All that are measured.
pub(crate) const SEARCHES: [Search; 29] = [
    search("active", || in_state(v1::TokenState::Active)),
    search("suspended", || in_state(v1::TokenState::Suspended)),
    search("expired", || in_state(v1::TokenState::Expired)),
    search("revoked", || in_state(v1::TokenState::Revoked)),
    search("invalidated", || in_state(v1::TokenState::Invalidated)),
    search("of a principal", || filter(|filter| filter.principal = "user-77".into())),
    search("of users", || filter(|filter| filter.set_principal_kind(v1::PrincipalKind::User))),
    search("of service accounts", || {
        filter(|filter| filter.set_principal_kind(v1::PrincipalKind::ServiceAccount))
    }),
    search("created by one", || filter(|filter| filter.creator = "mia".into())),
    search("created by another", || filter(|filter| filter.creator = "machine".into())),
    search("CUSTOM", || filter(|filter| filter.set_type(v1::TokenType::Custom))),
    search("READ_ONLY", || filter(|filter| filter.set_type(v1::TokenType::ReadOnly))),
    search("with a scope that all have", || filter(|filter| filter.scope = "articles:read".into())),
    search("with a scope that few have", || filter(|filter| filter.scope = "rare:read".into())),
    search("name begins with `token 77/`", || filter(|filter| filter.name_prefix = "token 77/".into())),
    search("name begins with `token `", || filter(|filter| filter.name_prefix = "token ".into())),
    search("created since yesterday", || filter(|filter| filter.created_since = ago(days(1)))),
    search("created more than 115 days ago", || filter(|filter| filter.created_before = ago(days(115)))),
    search("expiring within an hour", || {
        let hour = prost_types::Duration { seconds: 3_600, nanos: 0 };
        filter(|filter| filter.expiring_within = Some(hour))
    }),
    search("expiring within a day", || within(1)),
    search("expiring within 30 days", || within(30)),
    search("expiring within 100 years", || within(36_500)),
    search("unused for an hour", || filter(|filter| filter.unused_since = ago(Duration::from_hours(1)))),
    search("unused for 30 days", || filter(|filter| filter.unused_since = ago(days(30)))),
    search("never used", || filter(|filter| filter.never_used = true)),
    search("rotation due", || filter(|filter| filter.rotation_due = true)),
    search("dead secret used since yesterday", || {
        filter(|filter| filter.superseded_use_since = ago(days(1)))
    }),
    search("worst: name begins as that of the 20,000 oldest", || {
        filter(|filter| filter.name_prefix = "ancient ".into())
    }),
    search("worst: of a scope that all have, and never used", || {
        filter(|filter| {
            filter.scope = "articles:read".into();
            filter.never_used = true;
        })
    }),
];
