//! What a token may do at the moment of use: never more than its own scopes.

use crate::token::ScopeSet;

/// The scopes of a token, held to what the profile grants its type and to what its principal may do, if it has either.
#[must_use]
pub fn effective_scopes(own: &ScopeSet, grants: Option<&ScopeSet>, principal: Option<&ScopeSet>) -> ScopeSet {
    [grants, principal].into_iter().flatten().fold(own.clone(), |held, limit| held.intersection(limit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::token::Scope;

    fn scope() -> impl Strategy<Value = Scope> {
        "(\\*|(a|b|tokenkeep)(:(a|b)){0,2}(:\\*)?)".prop_map(|text| Scope::parse(text).unwrap())
    }

    fn scopes() -> impl Strategy<Value = ScopeSet> {
        prop::collection::vec(scope(), 0..6).prop_map(|scopes| ScopeSet::new(scopes).unwrap())
    }

    proptest! {
        #[test]
        fn nothing_widens_a_token(
            own in scopes(),
            grants in prop::option::of(scopes()),
            principal in prop::option::of(scopes()),
            wanted in scope(),
        ) {
            let effective = effective_scopes(&own, grants.as_ref(), principal.as_ref());
            let every = [Some(&own), grants.as_ref(), principal.as_ref()];
            let expected = every.into_iter().flatten().all(|scopes| scopes.grants(&wanted));
            prop_assert_eq!(effective.grants(&wanted), expected);
            for scope in effective.iter() {
                prop_assert!(own.grants(scope), "{} is wider than {}", scope, own);
            }
        }
    }
}
