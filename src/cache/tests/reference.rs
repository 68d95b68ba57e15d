//! The cache against a reference so simple that it is surely right, by random steps.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const TOKENS: u128 = 3;
/// How many secrets of a token there are. All live in the reference, and how long is not its matter.
const GENERATIONS: i32 = 2;
const FLIGHTS: usize = 4;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A token changes at the source.
    Change(u128),
    /// All tokens of the one workspace change at the source, by a floor.
    Floor,
    /// The change at the end is taken into account before its turn.
    Overtake,
    Apply,
    Begin(usize, u128),
    Read(usize),
    Land(usize, i32),
    /// A part of the log is missed.
    Follow,
    Offer(i64, u64),
    Lose,
    LookUp(u128, i32),
    Wait,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (token, flight, generation) = (0..TOKENS, 0..FLIGHTS, 1..=GENERATIONS);
    let step = prop_oneof![
        3 => token.clone().prop_map(Step::Change),
        1 => Just(Step::Floor),
        1 => Just(Step::Overtake),
        4 => Just(Step::Apply),
        6 => (flight.clone(), token.clone()).prop_map(|(flight, token)| Step::Begin(flight, token)),
        6 => flight.clone().prop_map(Step::Read),
        6 => (flight, generation.clone()).prop_map(|(flight, generation)| Step::Land(flight, generation)),
        1 => Just(Step::Follow),
        2 => (0_i64..2, 1_u64..20).prop_map(|(ahead, length)| Step::Offer(ahead, length)),
        1 => Just(Step::Lose),
        8 => (token, generation).prop_map(|(token, generation)| Step::LookUp(token, generation)),
        2 => Just(Step::Wait),
    ];
    prop::collection::vec(step, 1..200)
}

/// A flight as the reference sees it: what it would miss, it keeps a list of.
struct Aloft {
    flight: Flight,
    token: u128,
    as_of: i64,
    read: Option<i64>,
    lost: bool,
    changes: Vec<i64>,
}

struct Run {
    cache: Arc<Cache>,
    now: u64,
    /// The source: who changed at each revision, from 1; nobody in particular by a floor.
    log: Vec<Option<u128>>,
    applied: i64,
    aloft: HashMap<usize, Aloft>,
    /// By token and generation, the revision of the record and what was applied when its flight began.
    known: HashMap<(u128, i32), (i64, i64)>,
    floor: i64,
    offers: Vec<(i64, u64)>,
}

impl Run {
    fn new() -> Self {
        let cache = Arc::new(Cache::new(1000, Prover::new().unwrap()));
        cache.follow(ours(0));
        let (log, aloft, known) = (Vec::new(), HashMap::new(), HashMap::new());
        Self { cache, now: 0, log, applied: 0, aloft, known, floor: 0, offers: vec![] }
    }

    fn head(&self) -> i64 {
        i64::try_from(self.log.len()).unwrap()
    }

    fn changed_at(&self, revision: i64) -> Option<u128> {
        self.log[usize::try_from(revision - 1).unwrap()]
    }

    /// The last change of a token itself up to a revision.
    fn last_change(&self, token: u128, up_to: i64) -> i64 {
        (1..=up_to).rev().find(|revision| self.changed_at(*revision) == Some(token)).unwrap_or(0)
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Change(token) => self.log.push(Some(token)),
            Step::Floor => self.log.push(None),
            Step::Overtake => self.overtake(),
            Step::Apply => self.apply(),
            Step::Begin(number, id) => self.begin(number, id),
            Step::Read(number) => self.read(number),
            Step::Land(number, generation) => self.land(number, generation),
            Step::Follow => self.follow(),
            Step::Offer(ahead, length) => {
                let needs = self.applied + ahead;
                self.offers.push((needs, self.now + length));
                self.cache.offer(Offer { until: at(self.now + length), needs: ours(needs) });
            }
            Step::Lose => {
                self.offers.clear();
                self.cache.lose_lease();
            }
            Step::LookUp(id, generation) => self.look_up(id, generation),
            Step::Wait => self.now += 5,
        }
    }

    /// Tells the reference of a change.
    fn note(&mut self, token: u128, revision: i64) {
        self.known.retain(|(known, _), (record, _)| *known != token || *record >= revision);
        self.aloft
            .values_mut()
            .filter(|aloft| aloft.token == token)
            .for_each(|aloft| aloft.changes.push(revision));
    }

    fn overtake(&mut self) {
        let head = self.head();
        if let Some(Some(changed)) = self.log.last().copied() {
            self.note(changed, head);
            self.cache.overtake(&event(token(changed), head));
        }
    }

    fn apply(&mut self) {
        if self.applied == self.head() {
            return;
        }
        self.applied += 1;
        if let Some(changed) = self.changed_at(self.applied) {
            self.note(changed, self.applied);
            self.cache.apply(OURS, &event(token(changed), self.applied));
        } else {
            self.floor = self.applied;
            self.cache.raise_floor(Subject::Workspace(&workspace("acme")), ours(self.applied));
            self.cache.advance(ours(self.applied));
        }
    }

    fn begin(&mut self, number: usize, id: u128) {
        let flight = self.cache.begin(token(id));
        assert_eq!(flight.applied(), Some(ours(self.applied)));
        let (as_of, changes) = (self.applied, Vec::new());
        self.aloft.insert(number, Aloft { flight, token: id, as_of, read: None, lost: false, changes });
    }

    fn read(&mut self, number: usize) {
        let Some(id) = self.aloft.get(&number).map(|aloft| aloft.token) else { return };
        let read = self.last_change(id, self.head());
        self.aloft.get_mut(&number).unwrap().read = Some(read);
    }

    fn land(&mut self, number: usize, generation: i32) {
        let Some(aloft) = self.aloft.remove(&number) else { return };
        let Some(read) = aloft.read else { return };
        let fresh = !aloft.lost && aloft.changes.iter().all(|revision| *revision <= read);
        let newer = self.known.iter().any(|((token, known), (record, as_of))| {
            *token == aloft.token
                && (*record > read || (*known == generation && (*record, *as_of) > (read, aloft.as_of)))
        });
        let record = Record { generation: Generation(generation), ..record(token(aloft.token), read) };
        let landed = aloft.flight.land(learned_from(&self.cache, record), OURS);
        assert_eq!(landed, fresh && !newer);
        if landed {
            self.known.retain(|(token, _), (record, _)| *token != aloft.token || *record == read);
            self.known.insert((aloft.token, generation), (read, aloft.as_of));
        }
    }

    fn follow(&mut self) {
        self.applied = self.head();
        self.known.clear();
        self.aloft.values_mut().for_each(|aloft| aloft.lost = true);
        (self.floor, self.offers) = (0, Vec::new());
        self.cache.follow(ours(self.applied));
    }

    fn look_up(&mut self, id: u128, generation: i32) {
        let leased = self.offers.iter().any(|(needs, until)| *needs <= self.applied && *until > self.now);
        let expected = self.known.get(&(id, generation)).filter(|(_, as_of)| leased && *as_of >= self.floor);
        let found = self.cache.look_up_by_id(token(id), Generation(generation), at(self.now));
        assert_eq!(found.as_ref().map(|known| known.record.revision.0), expected.map(|(record, _)| *record));
        if let Some(known) = found {
            assert_eq!(known.applied, ours(self.applied));
            assert!(known.record.revision.0 >= self.last_change(id, self.applied), "stale");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn it_answers_as_the_reference_does_whatever_comes_between(steps in steps()) {
        let mut run = Run::new();
        for step in steps {
            run.take(step);
        }
    }
}
