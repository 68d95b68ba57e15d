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
    use crate::profile::{Profile, TokenType};
    use crate::token::Scope;

    fn scope() -> impl Strategy<Value = Scope> {
        "(\\*|(a|b|tokenkeep)(:(a|b)){0,2}(:\\*)?)".prop_map(|text| Scope::parse(text).unwrap())
    }

    fn scopes() -> impl Strategy<Value = ScopeSet> {
        prop::collection::vec(scope(), 0..6).prop_map(|scopes| ScopeSet::new(scopes).unwrap())
    }

    /// A profile's file with what can bear on scopes as arbitrary as the format allows.
    fn profile() -> impl Strategy<Value = Profile> {
        let product = scope().prop_filter("of the product", |scope| !scope.is_reserved());
        let grants = prop::collection::btree_set(product, 1..5);
        let types = prop::collection::btree_map(prop_oneof!["read_only", "full_access"], grants, 0..3);
        types.prop_map(|types| {
            let mut document =
                include_str!("../../profiles/undb.toml").split("[[types]]").next().unwrap().to_owned();
            let (_, rest) = include_str!("../../profiles/undb.toml").split_once("[responses").unwrap();
            for (name, grants) in types {
                let grants: Vec<String> =
                    grants.iter().map(|scope| format!("{:?}", scope.as_str())).collect();
                let table = format!(
                    "[[types]]\ntype = {name:?}\nlabel = {name:?}\ngrants = [{}]\n",
                    grants.join(", ")
                );
                document.push_str(&table);
            }
            document.push_str("[[types]]\ntype = \"custom\"\nlabel = \"Custom\"\n[responses");
            document.push_str(rest);
            Profile::parse(&document.replace("\"types\"", "\"types.custom\"")).unwrap()
        })
    }

    proptest! {
        #[test]
        fn no_profile_and_no_principal_widens_a_token(
            own in scopes(),
            profile in profile(),
            principal in prop::option::of(scopes()),
            wanted in scope(),
        ) {
            for (_, token_type) in TokenType::WORDS {
                let grants = profile.grants(token_type);
                let effective = effective_scopes(&own, grants, principal.as_ref());
                let every = [Some(&own), grants, principal.as_ref()];
                let expected = every.into_iter().flatten().all(|scopes| scopes.grants(&wanted));
                prop_assert_eq!(effective.grants(&wanted), expected, "{}", token_type);
                for scope in effective.iter() {
                    prop_assert!(own.grants(scope), "{} is wider than {}", scope, own);
                }
            }
        }
    }
}
