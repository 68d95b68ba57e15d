//! Holds the tables against every mutation that was sent: each was made as a whole or not at all, and as its caller was
//! told. Every mutation signs what it does with a mark of its own, so nothing here is a matter of counting.

use std::collections::{BTreeMap, BTreeSet};

/// What a mutation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Create,
    Update,
    Regenerate,
    Revoke,
}

/// A mutation that was sent, and what its caller was told.
#[derive(Debug, Clone)]
pub struct Mutation {
    pub number: usize,
    pub kind: Kind,
    /// The token it is to change; of a creation, the one that it made, if its caller was told.
    pub token: Option<String>,
    pub told: Told,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It is made.
    Made {
        revision: i64,
        generation: i32,
    },
    /// It is not made, for this reason.
    Refused(String),
    Nothing,
}

/// An event of the revision log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub revision: i64,
    pub kind: Kind,
    pub token: String,
    pub generation: i32,
    /// The mark of whoever made it.
    pub initiator: String,
    pub reason: Option<String>,
}

/// A token's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub token: String,
    /// The mark of whoever made it.
    pub creator: String,
    /// Name, description and scopes: what one mutation writes, it marks all three of.
    pub words: [String; 3],
    pub generation: i32,
    pub revision: i64,
    /// Why it is revoked, if it is.
    pub revoked: Option<String>,
}

/// A secret that was presented when all was over.
#[derive(Debug, Clone)]
pub struct Presented {
    pub token: String,
    pub generation: i32,
    pub active: bool,
}

/// Everything that was seen of one run.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The last revision before there was any mutation.
    pub since: i64,
    pub mutations: Vec<Mutation>,
    /// By revision.
    pub log: Vec<Event>,
    pub rows: Vec<Row>,
    pub presented: Vec<Presented>,
}

/// What became of the mutations, and what is wrong with that.
#[derive(Debug, Default)]
pub struct Judgement {
    /// How many comparisons were made.
    pub checks: usize,
    /// The numbers of those that left a row or an event.
    made: BTreeSet<usize>,
    pub wrong: Vec<String>,
}

/// The mark of a mutation.
pub fn mark(number: usize) -> String {
    format!("mutation:{number}")
}

pub fn judge(seen: &Seen) -> Judgement {
    let traces = Traces::of(seen);
    let mut judgement = Judgement::default();
    judgement.log(seen);
    for mutation in &seen.mutations {
        judgement.mutation(mutation, &traces);
    }
    for row in &seen.rows {
        judgement.row(row, &traces);
    }
    judgement.strangers(seen, &traces);
    judgement.presented(seen, &traces);
    judgement
}

/// What the mutations left behind.
struct Traces<'s> {
    rows: BTreeMap<&'s str, &'s Row>,
    /// By their mark.
    created: BTreeMap<&'s str, Vec<&'s Row>>,
    /// By their mark.
    events: BTreeMap<&'s str, Vec<&'s Event>>,
    /// By their token, in the order of the log.
    lives: BTreeMap<&'s str, Vec<&'s Event>>,
}

impl<'s> Traces<'s> {
    fn of(seen: &'s Seen) -> Self {
        Self {
            rows: seen.rows.iter().map(|row| (row.token.as_str(), row)).collect(),
            created: grouped(&seen.rows, |row| &row.creator),
            events: grouped(&seen.log, |event| &event.initiator),
            lives: grouped(&seen.log, |event| &event.token),
        }
    }

    /// The revocation of a token.
    fn end(&self, token: Option<&String>) -> Option<&Event> {
        let life = self.lives.get(token?.as_str())?;
        life.iter().copied().find(|event| event.kind == Kind::Revoke)
    }
}

fn grouped<'s, T>(all: &'s [T], by: impl Fn(&'s T) -> &'s String) -> BTreeMap<&'s str, Vec<&'s T>> {
    let mut groups: BTreeMap<&str, Vec<&T>> = BTreeMap::new();
    for one in all {
        groups.entry(by(one)).or_default().push(one);
    }
    groups
}

impl Judgement {
    /// Whether a mutation was made, whatever its caller was told.
    pub fn has_made(&self, mutation: &Mutation) -> bool {
        self.made.contains(&mutation.number)
    }

    fn expect(&mut self, fine: bool, story: impl FnOnce() -> String) {
        self.checks += 1;
        if !fine {
            self.wrong.push(story());
        }
    }

    /// The log has no gap, and no revision twice.
    fn log(&mut self, seen: &Seen) {
        for (expected, event) in (seen.since + 1..).zip(&seen.log) {
            self.expect(event.revision == expected, || format!("{event:?} stands where {expected} should"));
        }
    }

    /// A mutation is made once at most, as it was asked for, and if its caller was told that it is or is not, then so.
    fn mutation(&mut self, mutation: &Mutation, traces: &Traces<'_>) {
        let mark = mark(mutation.number);
        let rows = traces.created.get(mark.as_str()).map_or(&[][..], Vec::as_slice);
        let events = traces.events.get(mark.as_str()).map_or(&[][..], Vec::as_slice);
        let made = rows.len() + events.len();
        self.made.extend((made > 0).then_some(mutation.number));
        self.expect(made <= 1, || format!("made twice: {mutation:?}: {rows:?} {events:?}"));
        let asked = |token: &str| mutation.token.as_deref().is_none_or(|asked| asked == token);
        let of_its_kind = rows.iter().all(|row| mutation.kind == Kind::Create && asked(&row.token))
            && events.iter().all(|event| mutation.kind == event.kind && asked(&event.token));
        self.expect(of_its_kind, || format!("not what was asked for: {mutation:?}: {rows:?} {events:?}"));
        let as_told = match &mutation.told {
            Told::Nothing => true,
            Told::Refused(reason) => made == 0 && reason != "INTERNAL",
            Told::Made { .. } if mutation.kind == Kind::Create => made == 1,
            // Whoever revokes a token again is told of the revocation that there was.
            Told::Made { revision, generation } => {
                let again = (mutation.kind == Kind::Revoke).then(|| traces.end(mutation.token.as_ref()));
                let event = events.first().copied().or(again.flatten());
                event.is_some_and(|event| (event.revision, event.generation) == (*revision, *generation))
            }
        };
        self.expect(as_told, || format!("not as its caller was told: {mutation:?}: {rows:?} {events:?}"));
    }

    /// A token's row is what its creation and the log make of it.
    fn row(&mut self, row: &Row, traces: &Traces<'_>) {
        let mut expected = Row {
            words: std::array::from_fn(|_| row.creator.clone()),
            generation: 1,
            revision: 0,
            revoked: None,
            ..row.clone()
        };
        for event in traces.lives.get(row.token.as_str()).into_iter().flatten() {
            let dead = expected.revoked.is_some();
            self.expect(!dead, || format!("a revoked token is changed: {event:?}"));
            match event.kind {
                Kind::Create => {}
                Kind::Update => expected.words = std::array::from_fn(|_| event.initiator.clone()),
                Kind::Regenerate => expected.generation += 1,
                Kind::Revoke => expected.revoked = Some(event.initiator.clone()),
            }
            expected.revision = event.revision;
            let reason = (event.kind == Kind::Revoke).then_some(&event.initiator);
            let whole = event.generation == expected.generation && event.reason.as_ref() == reason;
            self.expect(whole, || format!("an event that is not whole: {event:?} of {expected:?}"));
        }
        self.expect(*row == expected, || format!("the log makes of it {expected:?}, and it is {row:?}"));
    }

    /// Nothing was made that nobody asked for, and nothing of a token that is not there.
    fn strangers(&mut self, seen: &Seen, traces: &Traces<'_>) {
        let sent: BTreeMap<String, usize> =
            seen.mutations.iter().map(|mutation| (mark(mutation.number), mutation.number)).collect();
        for event in &seen.log {
            let known = sent.contains_key(&event.initiator) && traces.rows.contains_key(event.token.as_str());
            self.expect(known, || format!("an event of nobody, or of no token: {event:?}"));
        }
        for row in &seen.rows {
            self.expect(sent.contains_key(&row.creator), || format!("a token of nobody: {row:?}"));
        }
    }

    /// A secret works if and only if its generation is that of the row, and the token is not revoked.
    fn presented(&mut self, seen: &Seen, traces: &Traces<'_>) {
        for presented in &seen.presented {
            let row = traces.rows.get(presented.token.as_str());
            let live = row.is_some_and(|row| row.revoked.is_none() && row.generation == presented.generation);
            self.expect(presented.active == live, || format!("{presented:?} against {row:?}"));
        }
    }
}
