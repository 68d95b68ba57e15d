//! Taking fields one by one and remembering every one that is wrong, so that a caller learns of all at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use crate::profile::{Audience, TokenType};
use crate::proto::v1;
use crate::service::{Error, InvalidField};
use crate::text::{Invalid, Metadata};
use crate::token::{Audiences, Cidr, Cidrs, Expiry, Overlap, Scope, ScopeSet, TokenState};

/// The longest a token may live when a lifetime is given: 100 years of 365.25 days.
const LONGEST_LIFETIME: Duration = Duration::from_hours(100 * 8_766);

/// The last moment that RFC 3339 can write: the end of the year 9999.
const LATEST_SECONDS: i64 = 253_402_300_799;

/// How many states there are.
const MOST_STATES: usize = 5;

/// The most fields of one request that are told to be wrong.
const MOST_NOTED: usize = 16;

/// The fields of one request that cannot be taken.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<InvalidField>);

impl Fields {
    /// Takes a field, or notes what is wrong with it.
    pub(super) fn take<Taken>(&mut self, path: &str, taken: Result<Taken, Invalid>) -> Option<Taken> {
        taken.map_err(|invalid| self.note(path, invalid)).ok()
    }

    /// Takes a text field that may be empty, which means that it is not there: the outer `None` is a field that cannot be
    /// taken.
    #[expect(clippy::option_option, reason = "wrong, absent and there are three things")]
    pub(super) fn optional<Taken>(
        &mut self,
        path: &str,
        text: String,
        parse: fn(String) -> Result<Taken, Invalid>,
    ) -> Option<Option<Taken>> {
        if text.is_empty() { Some(None) } else { self.take(path, parse(text)).map(Some) }
    }

    /// Notes what is wrong with a field; after [`MOST_NOTED`] nothing more, since an answer must stay smaller than what
    /// clients take.
    pub(super) fn note(&mut self, path: &str, invalid: Invalid) {
        if self.0.len() == MOST_NOTED {
            return;
        }
        self.0.push(InvalidField { path: path.to_owned(), invalid });
    }

    /// Notes a repeated field of which there must be at least one, and at most `limit`.
    pub(super) fn count(&mut self, path: &str, count: usize, limit: usize) {
        if count == 0 {
            self.note(path, Invalid::Missing);
        } else if count > limit {
            self.note(path, Invalid::TooMany { limit });
        }
    }

    /// Puts together what was taken, if all could be.
    pub(super) fn finish<Words>(self, words: Option<Words>) -> Result<Words, Error> {
        match words {
            Some(words) if self.0.is_empty() => Ok(words),
            _ => Err(Error::InvalidFields(self.0)),
        }
    }

    pub(super) fn scope_list(&mut self, path: &str, scopes: Vec<String>) -> Option<Vec<Scope>> {
        if scopes.len() > ScopeSet::LIMIT {
            self.note(path, Invalid::TooMany { limit: ScopeSet::LIMIT });
            return None;
        }
        self.each(path, scopes, Scope::parse)
    }

    fn each<Item, Taken>(
        &mut self,
        path: &str,
        items: Vec<Item>,
        parse: impl Fn(Item) -> Result<Taken, Invalid>,
    ) -> Option<Vec<Taken>> {
        let taken: Vec<Option<Taken>> = items
            .into_iter()
            .enumerate()
            .map(|(position, item)| self.take(&format!("{path}[{position}]"), parse(item)))
            .collect();
        taken.into_iter().collect()
    }

    pub(super) fn audiences(&mut self, path: &str, audiences: Vec<String>) -> Option<Audiences> {
        if audiences.len() > Audiences::LIMIT {
            self.note(path, Invalid::TooMany { limit: Audiences::LIMIT });
            return None;
        }
        let audiences = self.each(path, audiences, Audience::parse)?;
        self.take(path, Audiences::new(audiences))
    }

    pub(super) fn cidrs(&mut self, path: &str, blocks: Vec<String>) -> Option<Cidrs> {
        if blocks.len() > Cidrs::LIMIT {
            self.note(path, Invalid::TooMany { limit: Cidrs::LIMIT });
            return None;
        }
        let blocks = self.each(path, blocks, |block| Cidr::parse(&block))?;
        self.take(path, Cidrs::new(blocks))
    }

    /// Takes a type of token, or that none is said.
    #[expect(clippy::option_option, reason = "wrong, absent and there are three things")]
    pub(super) fn token_type(&mut self, path: &str, token_type: i32) -> Option<Option<TokenType>> {
        let wanted = Invalid::Malformed("TOKEN_TYPE_READ_ONLY, TOKEN_TYPE_FULL_ACCESS or TOKEN_TYPE_CUSTOM");
        self.take(
            path,
            match v1::TokenType::try_from(token_type) {
                Ok(v1::TokenType::Unspecified) => Ok(None),
                Ok(v1::TokenType::ReadOnly) => Ok(Some(TokenType::ReadOnly)),
                Ok(v1::TokenType::FullAccess) => Ok(Some(TokenType::FullAccess)),
                Ok(v1::TokenType::Custom) => Ok(Some(TokenType::Custom)),
                Err(_) => Err(wanted),
            },
        )
    }

    /// Takes states; any more than there are would be one twice.
    pub(super) fn states(&mut self, path: &str, states: &[i32]) -> Option<BTreeSet<TokenState>> {
        if states.len() > MOST_STATES {
            self.note(path, Invalid::TooMany { limit: MOST_STATES });
            return None;
        }
        self.each(path, states.to_vec(), token_state).map(BTreeSet::from_iter)
    }

    pub(super) fn scopes(&mut self, path: &str, scopes: Vec<String>) -> Option<ScopeSet> {
        let scopes = self.scope_list(path, scopes)?;
        self.take(path, ScopeSet::new(scopes))
    }

    pub(super) fn metadata(&mut self, path: &str, entries: BTreeMap<String, String>) -> Option<Metadata> {
        let parsed = Metadata::parse(entries).map_err(|(key, invalid)| {
            let path = key.map_or_else(|| path.to_owned(), |key| format!("{path}[{key:?}]"));
            self.note(&path, invalid);
        });
        parsed.ok()
    }

    /// Takes a moment; what is finer than a microsecond is cut off, as PostgreSQL keeps it.
    pub(super) fn time(&mut self, path: &str, mut time: prost_types::Timestamp) -> Option<SystemTime> {
        let in_range =
            (0..=LATEST_SECONDS).contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos);
        time.nanos -= time.nanos % 1_000;
        let time = in_range.then(|| SystemTime::try_from(time).ok()).flatten();
        self.take(path, time.ok_or(Invalid::Malformed("a time from 1970 to the end of the year 9999")))
    }

    /// Takes a moment that may be left out.
    #[expect(clippy::option_option, reason = "wrong, absent and there are three things")]
    pub(super) fn optional_time(
        &mut self,
        path: &str,
        time: Option<prost_types::Timestamp>,
    ) -> Option<Option<SystemTime>> {
        time.map_or(Some(None), |time| self.time(path, time).map(Some))
    }

    pub(super) fn expire_time(&mut self, path: &str, time: prost_types::Timestamp) -> Option<Expiry> {
        self.time(path, time).map(Expiry::At)
    }

    pub(super) fn duration(&mut self, path: &str, duration: prost_types::Duration) -> Option<Duration> {
        let duration = Duration::try_from(duration).ok();
        let welcome =
            duration.filter(|duration| (Duration::from_secs(1)..=LONGEST_LIFETIME).contains(duration));
        self.take(path, welcome.ok_or(Invalid::Malformed("from 1 second to 100 years")))
    }

    pub(super) fn lifetime(&mut self, path: &str, lifetime: prost_types::Duration) -> Option<Expiry> {
        self.duration(path, lifetime).map(Expiry::After)
    }

    /// Takes how long a replaced secret works on; not at all if that is not said.
    pub(super) fn overlap(&mut self, path: &str, length: Option<prost_types::Duration>) -> Option<Overlap> {
        let length = Duration::try_from(length.unwrap_or_default());
        let overlap = length.map_err(|_| Invalid::Malformed("from 0 to 30 days"));
        self.take(path, overlap.and_then(Overlap::parse))
    }

    /// Takes that something never expires, which can be said and not denied.
    pub(super) fn never(&mut self, path: &str, said: bool) -> Option<Expiry> {
        self.take(path, if said { Ok(Expiry::Never) } else { Err(Invalid::Malformed("true, or left out")) })
    }

    /// Takes what to wait for: whether for the fleet.
    pub(super) fn awaited(&mut self, wait: i32) -> Option<bool> {
        let wanted = Invalid::Malformed("REVOCATION_WAIT_COMMIT or REVOCATION_WAIT_FLEET");
        self.take(
            "wait",
            match v1::RevocationWait::try_from(wait) {
                Ok(v1::RevocationWait::Fleet) => Ok(true),
                Ok(v1::RevocationWait::Unspecified | v1::RevocationWait::Commit) => Ok(false),
                Err(_) => Err(wanted),
            },
        )
    }

    /// Takes a page size: 50 if none is asked for, at most 1,000.
    pub(super) fn page_size(&mut self, size: i32) -> Option<usize> {
        let size = usize::try_from(size).map_err(|_| Invalid::Malformed("0 or more"));
        self.take("page_size", size).map(|size| if size == 0 { 50 } else { size.min(1_000) })
    }
}

fn token_state(state: i32) -> Result<TokenState, Invalid> {
    match v1::TokenState::try_from(state) {
        Ok(v1::TokenState::Active) => Ok(TokenState::Active),
        Ok(v1::TokenState::Expired) => Ok(TokenState::Expired),
        Ok(v1::TokenState::Revoked) => Ok(TokenState::Revoked),
        Ok(v1::TokenState::Invalidated) => Ok(TokenState::Invalidated),
        Ok(v1::TokenState::Suspended) => Ok(TokenState::Suspended),
        Ok(v1::TokenState::Unspecified) | Err(_) => Err(Invalid::Malformed(
            "TOKEN_STATE_ACTIVE, TOKEN_STATE_EXPIRED, TOKEN_STATE_REVOKED, TOKEN_STATE_INVALIDATED or TOKEN_STATE_SUSPENDED",
        )),
    }
}
