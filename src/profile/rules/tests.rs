//! What the shipped profiles forbid, by the sentences of their documents.

use super::*;
use crate::profile::load;
use crate::token::Scope;

const DAY: Duration = Duration::from_hours(24);

fn shipped(name: &str) -> Profile {
    load(None).unwrap().into_iter().find(|profile| profile.name.as_str() == name).unwrap()
}

fn scopes(texts: &[&str]) -> ScopeSet {
    ScopeSet::new(texts.iter().map(|text| Scope::parse((*text).to_owned()).unwrap()).collect()).unwrap()
}

fn audiences(texts: &[&str]) -> Vec<Audience> {
    texts.iter().map(|text| Audience::parse((*text).to_owned()).unwrap()).collect()
}

/// A request for a token, in words of its own.
struct Asked {
    description: Description,
    principal: Option<PrincipalKind>,
    token_type: Option<TokenType>,
    scopes: ScopeSet,
    audiences: Vec<Audience>,
    expiry: Option<Expiry>,
}

impl Asked {
    fn nothing() -> Self {
        let description = Description::parse(String::new()).unwrap();
        let (scopes, audiences) = (ScopeSet::default(), Vec::new());
        Self { description, principal: None, token_type: None, scopes, audiences, expiry: None }
    }

    fn of(self, profile: &str) -> Vec<String> {
        let creation = Creation {
            description: &self.description,
            principal: self.principal,
            token_type: self.token_type,
            scopes: &self.scopes,
            audiences: &self.audiences,
            expiry: self.expiry,
        };
        told(shipped(profile).forbids_creating(&creation))
    }
}

fn told(found: impl IntoIterator<Item = Forbidden>) -> Vec<String> {
    found.into_iter().map(|forbidden| forbidden.to_string()).collect()
}

fn edit() -> Edit<'static> {
    Edit {
        create_time: SystemTime::UNIX_EPOCH,
        expire_time: None,
        present_type: TokenType::ReadOnly,
        description: None,
        token_type: None,
        scopes: None,
        audiences: None,
        expiry: None,
    }
}

#[test]
fn a_token_of_select_star_never_expires() {
    assert!(Asked::nothing().of("select-star").is_empty());
    for expiry in [Expiry::After(30 * DAY), Expiry::At(SystemTime::UNIX_EPOCH)] {
        let found = Asked { expiry: Some(expiry), ..Asked::nothing() }.of("select-star");
        assert!(found[0].ends_with("must be never (No expiration)"), "{found:?}");
    }
}

#[test]
fn undb_leaves_the_lifetime_open() {
    for expiry in
        [None, Some(Expiry::Never), Some(Expiry::After(DAY)), Some(Expiry::At(SystemTime::UNIX_EPOCH))]
    {
        assert!(Asked { expiry, ..Asked::nothing() }.of("undb").is_empty());
    }
}

#[test]
fn a_token_of_coolset_acts_for_the_user_who_created_it() {
    let asked = |principal| Asked { principal, scopes: scopes(&["read"]), ..Asked::nothing() };
    assert_eq!(asked(None).of("coolset"), ["`principal` must be given: a user"]);
    assert_eq!(asked(Some(PrincipalKind::ServiceAccount)).of("coolset"), ["`principal` must be a user"]);
    assert!(asked(Some(PrincipalKind::User)).of("coolset").is_empty());
}

#[test]
fn a_scope_outside_the_catalogue_is_refused_and_the_nearest_is_told() {
    let principal = Some(PrincipalKind::User);
    let found = Asked { principal, scopes: scopes(&["read", "wirte"]), ..Asked::nothing() }.of("coolset");
    assert_eq!(found, ["`scopes` must all be of the profile's: read, write or *; did you mean write?"]);
    let (custom, expiry) = (Some(TokenType::Custom), Some(Expiry::Never));
    let strapi =
        |texts| Asked { token_type: custom, scopes: scopes(texts), expiry, ..Asked::nothing() }.of("strapi");
    assert!(strapi(&["find:article", "findOne:*"]).is_empty());
    assert_eq!(strapi(&["fnd:article"]).len(), 1);
    assert_eq!(strapi(&["*"]).len(), 1, "a wildcard over the whole catalogue is in no catalogue");
}

#[test]
fn strapi_asks_for_a_duration_of_four_and_a_type_of_three() {
    let durations = "a lifetime of 604800s (7 days), a lifetime of 2592000s (30 days), \
                     a lifetime of 7776000s (90 days) or never (Unlimited)";
    assert_eq!(
        Asked::nothing().of("strapi"),
        [
            "`type` must be given: READ_ONLY (Read-only), FULL_ACCESS (Full access) or CUSTOM (Custom)"
                .to_owned(),
            format!("`expiration` must be given: {durations}"),
        ]
    );
    let asked =
        |expiry| Asked { token_type: Some(TokenType::ReadOnly), expiry: Some(expiry), ..Asked::nothing() };
    for days in [7, 30, 90] {
        assert!(asked(Expiry::After(days * DAY)).of("strapi").is_empty());
    }
    assert!(asked(Expiry::Never).of("strapi").is_empty());
    assert_eq!(asked(Expiry::After(8 * DAY)).of("strapi"), [format!("`lifetime` must be {durations}")]);
    let moment = asked(Expiry::At(SystemTime::UNIX_EPOCH)).of("strapi");
    assert_eq!(moment, [format!("`expire_time` must be {durations}")]);
}

#[test]
fn a_type_with_grants_takes_no_scopes() {
    let (token_type, expiry) = (Some(TokenType::ReadOnly), Some(Expiry::Never));
    let found = Asked { token_type, expiry, scopes: scopes(&["find:*"]), ..Asked::nothing() }.of("strapi");
    assert_eq!(found, ["`scopes` must be left out: what a READ_ONLY token may do is in the profile"]);
}

#[test]
fn a_duration_can_be_edited_to_another_of_the_list() {
    let strapi = shipped("strapi");
    let found = |edit: Edit<'_>| told(strapi.forbids_editing(&edit));
    let end = |days: u32| SystemTime::UNIX_EPOCH + days * DAY;
    let to = |time| Edit { expiry: Some(Expiry::At(time)), ..edit() };
    assert!(found(edit()).is_empty());
    assert!(found(to(end(90))).is_empty());
    assert!(found(to(end(30) + Duration::from_millis(900))).is_empty());
    assert!(found(to(end(30) - Duration::from_millis(900))).is_empty());
    assert!(found(Edit { expiry: Some(Expiry::Never), ..edit() }).is_empty());
    assert_eq!(found(to(end(30) + Duration::from_secs(2))).len(), 1);
    assert!(found(to(end(31)))[0].starts_with("`expire_time` must be a lifetime of 604800s (7 days), "));
    // Renewed on the hundredth day: what is there may be said again.
    assert!(found(Edit { expire_time: Some(end(107)), ..to(end(107)) }).is_empty());
}

#[test]
fn who_makes_a_token_custom_says_its_scopes() {
    let strapi = shipped("strapi");
    let custom = Edit { token_type: Some(TokenType::Custom), ..edit() };
    assert_eq!(
        told(strapi.forbids_editing(&custom)),
        ["`scopes` must be given where a token becomes CUSTOM"]
    );
    let (right, wrong) = (scopes(&["find:article"]), scopes(&["read"]));
    assert!(strapi.forbids_editing(&Edit { scopes: Some(&right), ..custom }).is_empty());
    assert_eq!(strapi.forbids_editing(&Edit { scopes: Some(&wrong), ..custom }).len(), 1);
    assert_eq!(strapi.forbids_editing(&Edit { scopes: Some(&right), ..edit() }).len(), 1);
    let unknown = Edit { token_type: Some(TokenType::Custom), scopes: Some(&right), ..edit() };
    assert_eq!(
        told(shipped("qualytics").forbids_editing(&unknown)),
        ["`type` must be FULL_ACCESS (Service)"]
    );
}

#[test]
fn regenerating_renews_the_expiry_only_by_a_lifetime_of_the_list() {
    let strapi = shipped("strapi");
    assert_eq!(strapi.forbids_regenerating(None), None);
    assert_eq!(strapi.forbids_regenerating(Some(Expiry::After(7 * DAY))), None);
    assert!(strapi.forbids_regenerating(Some(Expiry::At(SystemTime::UNIX_EPOCH + 7 * DAY))).is_some());
}

#[test]
fn qualytics_asks_for_type_service_user_and_expiration() {
    let found = Asked::nothing().of("qualytics");
    let paths: Vec<&str> = found.iter().map(|told| told.split('`').nth(1).unwrap()).collect();
    assert_eq!(paths, ["type", "principal", "expiration"]);
    let asked = |audience| Asked {
        principal: Some(PrincipalKind::ServiceAccount),
        token_type: Some(TokenType::FullAccess),
        expiry: Some(Expiry::After(365 * DAY)),
        audiences: audiences(audience),
        ..Asked::nothing()
    };
    assert!(asked(&[]).of("qualytics").is_empty());
    assert!(asked(&["scim"]).of("qualytics").is_empty());
    assert_eq!(asked(&["scim", "api"]).of("qualytics"), ["`audiences[1]` must be scim"]);
    let none = Asked { audiences: audiences(&["scim"]), ..Asked::nothing() }.of("undb");
    assert_eq!(none, ["`audiences[0]` must be left out: the profile has no audiences"]);
}

#[test]
fn a_description_that_is_asked_for_cannot_be_emptied() {
    let mut profile = shipped("undb");
    profile.required.push(RequiredField::Description);
    let empty = Description::parse(String::new()).unwrap();
    let found = profile.forbids_editing(&Edit { description: Some(&empty), ..edit() });
    assert_eq!(told(found), ["`description` must be given"]);
}

#[test]
fn a_workspace_has_one_of_the_prefixes() {
    let prefix = |text: &str| TokenPrefix::parse(text.to_owned()).unwrap();
    let coolset = shipped("coolset");
    assert_eq!(coolset.forbids_prefix(&prefix("sk_live")), None);
    let found = coolset.forbids_prefix(&prefix("tk")).unwrap().to_string();
    assert_eq!(found, "`token_prefix` must be sk_live (Production) or sk_test (Development)");
    assert_eq!(shipped("undb").forbids_prefix(&prefix("tk")), None);
}

#[test]
fn of_many_choices_only_the_first_are_told() {
    assert_eq!(one_of(["a".to_owned()].into_iter()), "a");
    let many = one_of((0..300).map(|n| n.to_string()));
    assert!(many.ends_with("10, 11 or another of the profile's"), "{many}");
}
