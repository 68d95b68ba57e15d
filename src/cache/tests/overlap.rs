//! Two secrets of one token, as long as one takes the place of the other.

use super::*;

const SECOND: Generation = Generation(2);

fn of(cache: &Cache, generation: Generation, revision: i64, end: Option<u64>) -> Learned {
    let record = Record { generation, ..record(token(1), revision) };
    Learned { deadline: end.map(at), ..learned_from(cache, record) }
}

/// Knows both secrets of a token as of a revision, the first until its end.
fn overlapping(revision: i64, end: u64) -> Arc<Cache> {
    let cache = following(8);
    for found in [of(&cache, Generation::FIRST, revision, Some(end)), of(&cache, SECOND, revision, None)] {
        assert!(cache.begin(token(1)).land(found, OURS));
    }
    cache
}

fn known(cache: &Cache, now: BootTime) -> [bool; 2] {
    [Generation::FIRST, SECOND].map(|generation| {
        let known = cache.look_up_by_id(token(1), generation, now);
        known.is_some_and(|known| known.record.generation == generation)
    })
}

fn replaced(revision: i64, overlap_end: Option<SystemTime>) -> Event {
    let (workspace, generation) = (workspace("acme"), SECOND);
    let what = TokenChange::SecretReplaced { overlap_end };
    happened(Change::Token { workspace, token: token(1), generation, what }, revision)
}

#[test]
fn only_the_secret_that_was_proved_and_its_generation_are_known() {
    let cache = following(8);
    let (id, secret, other) = (TokenId::generate(), Secret::generate().unwrap(), Secret::generate().unwrap());
    let issue = |secret: &Secret, prefix: &str, tag| {
        let prefix = TokenPrefix::parse(prefix.to_owned()).unwrap();
        IssuedSecret::issue(&prefix, Kid::FIRST, id, secret, |_| Tag([tag; 8]))
    };
    let proof = cache.prover().proof(PresentedText::new(issue(&secret, "tk", 0).expose()));
    assert!(cache.begin(id).land(Learned { proof, ..learned(&cache, id, 4) }, OURS));
    let ask = |text: IssuedSecret| cache.look_up(PresentedText::new(text.expose()), NOW).is_some();
    assert!(ask(issue(&secret, "tk", 0)) && !ask(issue(&other, "tk", 0)));
    assert!(!ask(issue(&secret, "sk", 0)), "the prefix is another");
    assert!(!ask(issue(&secret, "tk", 1)), "the tag is another");
    assert!(cache.look_up_by_id(id, Generation(2), NOW).is_none());
}

#[test]
fn each_secret_has_a_record_a_proof_and_an_end_of_its_own() {
    let cache = following(8);
    let (id, secrets) = (TokenId::generate(), [1, 2].map(|_| Secret::generate().unwrap()));
    for (generation, secret) in [Generation::FIRST, SECOND].into_iter().zip(&secrets) {
        let record = Record { generation, ..record(id, 4) };
        let end = (generation == Generation::FIRST).then_some(at(20));
        let proof = cache.prover().proof(PresentedText::new(issue(id, secret).expose()));
        let found = Learned { proof, deadline: end, ..learned_from(&cache, record) };
        assert!(cache.begin(id).land(found, OURS));
    }
    let ask = |secret: &Secret, now| {
        let known = cache.look_up(PresentedText::new(issue(id, secret).expose()), now);
        known.map(|known| (known.record.generation.0, known.deadline))
    };
    assert_eq!(ask(&secrets[0], at(19)), Some((1, Some(at(20)))));
    assert_eq!(ask(&secrets[1], at(19)), Some((2, None)));
    assert_eq!((ask(&secrets[0], at(20)), ask(&secrets[1], at(20))), (None, Some((2, None))));
    assert_eq!(cache.len(), 1, "it is one token");
}

#[test]
fn both_are_found_by_one_flight_whichever_comes_first() {
    for generations in [[Generation::FIRST, SECOND], [SECOND, Generation::FIRST]] {
        let cache = following(8);
        let flight = cache.begin(token(1));
        for generation in generations {
            assert!(flight.land(of(&cache, generation, 4, None), OURS));
        }
        assert_eq!(known(&cache, NOW), [true; 2]);
    }
}

#[test]
fn the_end_of_an_overlap_and_every_other_change_end_both_until_they_are_learned_again() {
    let changes = [replaced(11, None), replaced(11, Some(SystemTime::UNIX_EPOCH)), event(token(1), 11)];
    for change in &changes {
        let cache = overlapping(4, 900);
        let aloft = cache.begin(token(1));
        cache.apply(OURS, change);
        assert_eq!((known(&cache, NOW), cache.len()), ([false; 2], 0));
        assert!(
            !aloft.land(of(&cache, Generation::FIRST, 4, Some(900)), OURS),
            "what is aloft is from before"
        );
        assert!(cache.begin(token(1)).land(of(&cache, SECOND, 11, None), OURS));
        assert_eq!(known(&cache, NOW), [false, true]);
    }
}

#[test]
fn what_is_learned_of_a_later_moment_leaves_nothing_of_an_earlier_one() {
    let cache = overlapping(4, 900);
    // The change is not applied here yet, but whoever was asked knew of it.
    assert!(cache.begin(token(1)).land(of(&cache, SECOND, 11, None), OURS));
    assert_eq!(known(&cache, NOW), [false, true]);
    assert!(!cache.begin(token(1)).land(of(&cache, Generation::FIRST, 4, Some(900)), OURS));
    assert_eq!(known(&cache, NOW), [false, true]);
    cache.apply(OURS, &replaced(11, None));
    assert_eq!(known(&cache, NOW), [false, true]);
}

#[test]
fn a_third_secret_leaves_no_first_one() {
    let cache = overlapping(4, 900);
    let third = Generation(3);
    assert!(cache.begin(token(1)).land(of(&cache, third, 11, None), OURS));
    assert!(cache.begin(token(1)).land(of(&cache, SECOND, 11, Some(900)), OURS));
    assert_eq!(known(&cache, NOW), [false, true]);
    assert!(cache.look_up_by_id(token(1), third, NOW).is_some());
}

#[test]
fn floors_hide_both() {
    let cache = overlapping(4, 900);
    cache.raise_floor(Subject::Workspace(&workspace("acme")), ours(11));
    cache.advance(ours(11));
    assert_eq!(known(&cache, NOW), [false; 2]);
    assert!(cache.begin(token(1)).land(of(&cache, SECOND, 4, None), OURS));
    assert_eq!(known(&cache, NOW), [false, true], "what lies under the floor is not brought up by the other");
    assert!(cache.begin(token(1)).land(of(&cache, Generation::FIRST, 4, Some(900)), OURS));
    assert_eq!(known(&cache, NOW), [true; 2]);
}

#[test]
fn both_are_revalidated_each_by_itself_and_one_that_is_dead_leaves_the_other() {
    let cache = overlapping(4, 900);
    cache.follow(ours(10));
    cache.offer(Offer { until: at(1000), needs: ours(10) });
    assert_eq!(known(&cache, NOW), [false; 2]);
    let listed = cache.unverified(None, 1);
    let [(id, generation, _)] = listed[..] else { panic!("{listed:?}") };
    assert_eq!((id, generation), (token(1), Generation::FIRST));
    let rest = cache.unverified(Some((id, generation)), 9);
    let [(id, generation, proof)] = rest[..] else { panic!("{rest:?}") };
    assert_eq!((id, generation), (token(1), SECOND));
    let again = Learned { proof, ..of(&cache, SECOND, 4, None) };
    assert!(cache.begin(id).land(again, OURS));
    assert_eq!((known(&cache, NOW), cache.unverified(None, 9).len()), ([false, true], 1));
    cache.forget(token(1), Generation::FIRST);
    assert_eq!((known(&cache, NOW), cache.unverified(None, 9).len()), ([false, true], 0));
    cache.forget(token(1), SECOND);
    assert!(cache.is_empty());
}
