//! What floors hide, and what not.

use super::*;

#[test]
fn a_floor_hides_its_subject_and_nobody_else_until_it_is_learned_again() {
    let (acme, other) = (workspace("acme"), workspace("other"));
    let (alice, bob) = (principal("alice"), principal("bob"));
    let subjects = [
        (Subject::Everything, [true; 3]),
        (Subject::Workspace(&acme), [true, true, false]),
        (Subject::Principal(&acme, &alice), [true, false, false]),
        (Subject::Key(Kid::FIRST), [true; 3]),
    ];
    for (subject, hidden) in subjects {
        // Large, so that it is unlikely that two subjects share a place.
        let cache = following(65_536);
        let bobs = Record { principal: Some(bob.clone().into()), ..record(token(2), 4) };
        let others = Record { workspace: other.clone().into(), principal: None, ..record(token(3), 4) };
        let records = [record(token(1), 4), bobs, others];
        let fill_all = || {
            for record in &records {
                assert!(cache.begin(record.id).land(learned_from(&cache, record.clone()), OURS));
            }
        };
        fill_all();
        cache.raise_floor(subject, ours(11));
        let seen = [1, 2, 3].map(|number| !knows(&cache, token(number)));
        assert_eq!(seen, hidden, "{subject:?}");
        cache.advance(ours(11));
        fill_all();
        assert_eq!([1, 2, 3].map(|number| knows(&cache, token(number))), [true; 3]);
    }
}

#[test]
fn a_floor_of_another_history_hides_nothing() {
    let cache = following(8);
    cache.raise_floor(Subject::Everything, ours(900));
    let begin = Position { history: OTHER, revision: Revision(3) };
    cache.follow(begin);
    cache.offer(Offer { until: at(1000), needs: begin });
    assert!(cache.begin(token(1)).land(learned(&cache, token(1), 2), OTHER) && knows(&cache, token(1)));
    cache.raise_floor(Subject::Everything, ours(900));
    assert!(knows(&cache, token(1)), "nor one that comes late");
}

#[test]
fn a_floor_counts_against_what_is_aloft() {
    let cache = following(8);
    let flight = cache.begin(token(1));
    cache.raise_floor(Subject::Workspace(&workspace("acme")), ours(11));
    cache.advance(ours(11));
    flight.land(learned(&cache, token(1), 4), OURS);
    assert!(!knows(&cache, token(1)));
}

#[test]
fn the_floor_of_another_key_hides_nothing_from_who_presents_a_secret() {
    let cache = following(65_536);
    let (id, secret) = (TokenId::generate(), Secret::generate().unwrap());
    let text = issue(id, &secret);
    let presented = PresentedText::new(text.expose());
    let found = Learned { proof: cache.prover().proof(presented), ..learned(&cache, id, 4) };
    assert!(cache.begin(id).land(found, OURS));
    cache.raise_floor(Subject::Key(Kid::parse("02").unwrap()), ours(11));
    assert!(cache.look_up(presented, NOW).is_some());
    assert!(!knows(&cache, id), "by id it cannot be told under which key it was issued");
    cache.raise_floor(Subject::Key(Kid::FIRST), ours(12));
    assert!(cache.look_up(presented, NOW).is_none());
}

fn profile_updated(profile: &ProfileName, revision: i64) -> Event {
    happened(Change::ProfileUpdated { profile: profile.clone() }, revision)
}

#[test]
fn what_was_told_of_a_subject_holds_until_a_change_of_it_is_known() {
    let cache = following(65_536);
    let name = |name: &str| ProfileName::parse(name.to_owned()).unwrap();
    let (ours, others) = (name("ours"), name("others"));
    let holds = |profile: &ProfileName, as_of| cache.holds(Subject::Profile(profile), as_of);
    let before = cache.as_of().unwrap();
    assert_eq!(before.history(), OURS);
    cache.apply(OURS, &profile_updated(&others, 11));
    assert!(holds(&ours, before) && !holds(&others, before));
    let after = cache.as_of().unwrap();
    assert!(holds(&others, after), "who was asked after it knew of it");
    cache.overtake(&profile_updated(&ours, 12));
    assert!(!holds(&ours, after), "one's own change counts before it is applied in order");
    assert!(!holds(&ours, cache.as_of().unwrap()), "until it is, nobody is sure to know of it");
    cache.apply(OURS, &profile_updated(&ours, 12));
    assert!(holds(&ours, cache.as_of().unwrap()));
}

#[test]
fn what_was_told_of_a_subject_does_not_outlast_what_was_followed() {
    let cache = following(8);
    let profile = ProfileName::parse("ours".to_owned()).unwrap();
    let before = cache.as_of().unwrap();
    // A part was missed.
    cache.follow(ours(20));
    assert!(!cache.holds(Subject::Profile(&profile), before));
    let before = cache.as_of().unwrap();
    assert!(cache.holds(Subject::Profile(&profile), before));
    cache.follow(Position { history: OTHER, revision: Revision(20) });
    assert!(!cache.holds(Subject::Profile(&profile), before));
    cache.empty();
    assert!(cache.as_of().is_none() && !cache.holds(Subject::Profile(&profile), before));
}
