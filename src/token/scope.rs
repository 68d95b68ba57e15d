//! What a token may do, and the one rule by which a scope grants another.

use std::borrow::Cow;
use std::fmt;

use crate::text::Invalid;

/// The first segment of the scopes that give power over tokenkeep itself.
const RESERVED: &str = "tokenkeep";

/// One scope: 1 to 128 characters of RFC 6749, section 3.3 (printable ASCII but space, `"` and `\`). `:` parts it into
/// segments; `*` may stand only as the whole last segment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Cow<'static, str>);

impl Scope {
    /// The most characters of one scope.
    pub const LIMIT: usize = 128;

    /// Takes a scope as written.
    ///
    /// # Errors
    /// [`Invalid`] if it is empty, too long, or not of the form above.
    pub fn parse(text: String) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::Missing);
        }
        if text.len() > Self::LIMIT {
            return Err(Invalid::TooLong { limit: Self::LIMIT });
        }
        let welcome = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        if !text.bytes().all(welcome) {
            return Err(Invalid::Malformed("printable ASCII without spaces, '\"' and '\\'"));
        }
        let stem = text.strip_suffix('*').unwrap_or(&text);
        if stem.contains('*') || !(stem == text || stem.is_empty() || stem.ends_with(':')) {
            return Err(Invalid::Malformed(
                "written with '*' only alone or as the whole last segment, like 'orders:*'",
            ));
        }
        Ok(Self(Cow::Owned(text)))
    }

    /// A scope written in our own code.
    pub(crate) const fn known(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// Whether holding this scope is enough where `wanted` is needed; `wanted` may itself be a wildcard, and is then
    /// granted only if everything it grants is.
    ///
    /// A scope grants itself. A wildcard grants whatever begins with all that stands before its `*` and goes on, save
    /// that `*` alone does not reach into `tokenkeep:…`, so that no product's wildcard gives power over tokenkeep.
    #[must_use]
    pub fn grants(&self, wanted: &Self) -> bool {
        if self == wanted {
            return true;
        }
        let Some(stem) = self.0.strip_suffix('*') else { return false };
        let Some(rest) = wanted.0.strip_prefix(stem) else { return false };
        let reaches_too_far = stem.is_empty() && wanted.is_reserved();
        !rest.is_empty() && !reaches_too_far
    }

    /// Whether this scope gives power over tokenkeep itself.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.0.split(':').next() == Some(RESERVED)
    }

    /// The scope as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The scopes of one token, or of one principal: at most 64, in order, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ScopeSet(Vec<Scope>);

impl ScopeSet {
    /// The most scopes of one token.
    pub const LIMIT: usize = 64;

    /// The most that an intersection of three sets can hold: those of a token, of its type and of its principal.
    const EFFECTIVE_LIMIT: usize = 3 * Self::LIMIT;

    /// Takes scopes in any order; the same scope twice counts once.
    ///
    /// # Errors
    /// [`Invalid::TooMany`].
    pub fn new(scopes: Vec<Scope>) -> Result<Self, Invalid> {
        Self::of_at_most(Self::LIMIT, scopes)
    }

    /// The same of what a token can do in effect, which may be more scopes than it has.
    ///
    /// # Errors
    /// [`Invalid::TooMany`].
    pub fn effective(scopes: Vec<Scope>) -> Result<Self, Invalid> {
        Self::of_at_most(Self::EFFECTIVE_LIMIT, scopes)
    }

    fn of_at_most(limit: usize, mut scopes: Vec<Scope>) -> Result<Self, Invalid> {
        if scopes.len() > limit {
            return Err(Invalid::TooMany { limit });
        }
        scopes.sort_unstable();
        scopes.dedup();
        Ok(Self(scopes))
    }

    /// Whether one of these scopes grants `wanted`.
    #[must_use]
    pub fn grants(&self, wanted: &Scope) -> bool {
        self.0.iter().any(|held| held.grants(wanted))
    }

    /// Those of `wanted` that none of these scopes grants, in the order given.
    #[must_use]
    pub fn missing<'wanted>(&self, wanted: &'wanted [Scope]) -> Vec<&'wanted Scope> {
        wanted.iter().filter(|scope| !self.grants(scope)).collect()
    }

    /// What both sets grant: wherever a scope of one grants a scope of the other, the latter. There can be as many as in
    /// both together.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let held_by_other = self.iter().filter(|scope| other.grants(scope));
        let held_by_this = other.iter().filter(|scope| self.grants(scope));
        let mut scopes: Vec<Scope> = held_by_other.chain(held_by_this).cloned().collect();
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes)
    }

    /// Separated by spaces, as RFC 6749 writes them.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(self.iter().map(|scope| scope.as_str().len() + 1).sum());
        for (position, scope) in self.iter().enumerate() {
            text.push_str(if position == 0 { "" } else { " " });
            text.push_str(scope.as_str());
        }
        text
    }

    /// The scopes, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_text())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope(text: &str) -> Scope {
        Scope::parse(text.to_owned()).unwrap()
    }

    /// A concrete scope of few short segments, so that prefixes meet often.
    fn concrete() -> impl Strategy<Value = Scope> {
        "(a|b|tokenkeep|ab)(:(a|b|c|ab)){0,3}".prop_map(|text| scope(&text))
    }

    fn any_scope() -> impl Strategy<Value = Scope> {
        prop_oneof![concrete(), concrete().prop_map(|base| scope(&format!("{base}:*"))), Just(scope("*")),]
    }

    #[test]
    fn a_wildcard_stands_only_as_the_whole_last_segment() {
        for wrong in ["a*", "*:a", "a:*:b", "a:b*", "**", "a:**", "a b", "a\"", "a\\", "é", ""] {
            assert!(Scope::parse(wrong.to_owned()).is_err(), "{wrong:?} was taken");
        }
        for right in ["*", "a:*", "api::article.article.find", "https://example.com/read"] {
            assert!(Scope::parse(right.to_owned()).is_ok(), "{right:?} was refused");
        }
    }

    #[test]
    fn a_bare_wildcard_gives_no_power_over_tokenkeep() {
        assert!(!scope("*").grants(&scope("tokenkeep:tokens:read")));
        assert!(!scope("*").grants(&scope("tokenkeep")));
        assert!(scope("*").grants(&scope("tokenkeeper:read")));
        assert!(scope("tokenkeep:*").grants(&scope("tokenkeep:tokens:read")));
    }

    #[test]
    fn a_wildcard_does_not_grant_its_own_stem() {
        assert!(!scope("a:*").grants(&scope("a")));
        assert!(!scope("a:*").grants(&scope("ab:c")));
    }

    proptest! {
        /// Said again by segments instead of by text: the two tellings of the rule must agree.
        #[test]
        fn the_rule_reads_the_same_by_segments(held in any_scope(), wanted in concrete()) {
            let held_segments: Vec<&str> = held.as_str().split(':').collect();
            let wanted_segments: Vec<&str> = wanted.as_str().split(':').collect();
            let expected = match held_segments.split_last() {
                Some((&"*", [])) => wanted_segments[0] != "tokenkeep",
                Some((&"*", stem)) => wanted_segments.len() > stem.len() && wanted_segments.starts_with(stem),
                _ => held_segments == wanted_segments,
            };
            prop_assert_eq!(held.grants(&wanted), expected);
        }

        /// Nobody gains by passing a grant on: what is granted by a granted scope was granted before.
        #[test]
        fn granting_is_transitive(a in any_scope(), b in any_scope(), c in any_scope()) {
            prop_assert!(!(a.grants(&b) && b.grants(&c)) || a.grants(&c));
        }

        #[test]
        fn every_scope_grants_itself(a in any_scope()) {
            prop_assert!(a.grants(&a));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,140}") {
            drop(Scope::parse(text));
        }
    }
}
