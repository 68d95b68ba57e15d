//! A cache with many tokens, as a server has it.

use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokenkeep::cache::{Cache, Learned};
use tokenkeep::clock::BootTime;
use tokenkeep::introspection::Record;
use tokenkeep::lease::Offer;
use tokenkeep::profile::{ProfileName, TokenType};
use tokenkeep::proof::{ProofCache, Prover};
use tokenkeep::revocation::{HistoryId, Position};
use tokenkeep::text::{Name, PrincipalId};
use tokenkeep::token::{
    Generation, IssuedSecret, Kid, Presented, PresentedText, Revision, Scope, ScopeSet, Secret, Tag, TokenId,
};
use tokenkeep::workspace::{TokenPrefix, WorkspaceId};
use uuid::Uuid;

use crate::measure::page::Outcome;

const HISTORY: HistoryId = HistoryId(Uuid::from_u128(1));
const APPLIED: Position = Position { history: HISTORY, revision: Revision(10_000) };

/// As many proofs as a server remembers beside its cache.
const PROOFS: usize = 100_000;

const WORKSPACES: usize = 10;
/// How many different sets of scopes there are.
const COMBINATIONS: usize = 50;
/// How many tokens have the same principal.
const FAMILY: usize = 10;
/// How many tokens are looked up.
const ASKED: usize = 1_000;

/// A year.
const LIFETIME: Duration = Duration::from_hours(365 * 24);

pub(crate) struct Filled {
    cache: Arc<Cache>,
    /// Kept until the end, as it is counted.
    _remembered: ProofCache,
    /// What the clients hold of some of them.
    asked: Vec<IssuedSecret>,
    /// Bytes, those of the proofs included.
    resident: usize,
    /// Bytes of the proofs.
    proofs: usize,
}

impl Filled {
    /// With so many tokens, and room for some more, since no part of it gets just its share.
    pub(crate) fn with(tokens: usize) -> Outcome<Self> {
        let before = resident()?;
        let cache = Arc::new(Cache::new(tokens + tokens / 16 + 16_384, Prover::new()?));
        let remembered = remembered(cache.prover());
        let proofs = resident()? - before;
        let far = BootTime::from_start(LIFETIME);
        cache.follow(APPLIED);
        cache.offer(Offer { until: far, needs: APPLIED });
        let mut asked = Vec::with_capacity(ASKED);
        for number in 0..tokens {
            let (id, secret) = (TokenId::generate(), Secret::generate()?);
            let issued =
                IssuedSecret::issue(&TokenPrefix::default(), Kid::FIRST, id, &secret, |_| Tag([0; 8]));
            let proof = cache.prover().proof(PresentedText::new(issued.expose()));
            let flight = cache.begin(id);
            // As a server has it: the answer still holds the record while it is remembered.
            let record = Arc::new(record(id, number)?);
            let learned = Learned { record: Arc::clone(&record), proof, deadline: Some(far) };
            if !flight.land(learned, HISTORY) {
                return Err("a token was not remembered".into());
            }
            if number % (tokens / ASKED).max(1) == 0 {
                asked.push(issued);
            }
        }
        Ok(Self { resident: resident()? - before, proofs, cache, _remembered: remembered, asked })
    }

    /// How many are known.
    pub(crate) fn tokens(&self) -> usize {
        self.cache.len()
    }

    /// What one takes, whatever for.
    pub(crate) fn bytes_per_token(&self) -> f64 {
        ratio(self.resident, self.tokens())
    }

    /// Where most of it goes, in bytes for a token.
    pub(crate) fn parts(&self) -> Vec<(&'static str, f64)> {
        let principal = shared(size_of::<PrincipalId>()) + allocated(principal(0).len()) + size_of::<usize>();
        vec![
            ("the entry of the cache", ratio(Cache::ENTRY, 1)),
            ("the record", ratio(shared(size_of::<Record>()), 1)),
            ("its name", ratio(allocated(name(0).len()), 1)),
            ("a tenth of its principal", ratio(principal, FAMILY)),
            ("the proofs remembered beside the cache, 100,000 at most", ratio(self.proofs, self.tokens())),
        ]
    }

    /// Looks some of them up, by secret and by id.
    pub(crate) fn look_up(&self, rounds: usize) -> Outcome<()> {
        for asked in self.asked.iter().cycle().take(self.asked.len() * rounds) {
            let presented = Presented::parse(asked.expose()).map_err(|_| "malformed")?;
            let now = BootTime::from_start(LIFETIME / 2);
            if !look_up_once(&self.cache, presented.text(), now)
                || !look_up_by_id_once(&self.cache, presented.id, now)
            {
                return Err("a token is not known".into());
            }
        }
        Ok(())
    }
}

/// A function of its own, so that its instructions can be counted.
#[inline(never)]
fn look_up_once(cache: &Cache, presented: PresentedText<'_>, now: BootTime) -> bool {
    black_box(cache.look_up(black_box(presented), now)).is_some()
}

/// The same by id, without the proof.
#[inline(never)]
fn look_up_by_id_once(cache: &Cache, id: TokenId, now: BootTime) -> bool {
    black_box(cache.look_up_by_id(black_box(id), Generation::FIRST, now)).is_some()
}

/// A record of its own in every part, as it comes from the database.
fn record(id: TokenId, number: usize) -> Outcome<Record> {
    let scopes = scopes(number).into_iter().map(Scope::parse).collect::<Result<_, _>>()?;
    Ok(Record {
        id,
        workspace: WorkspaceId::parse(format!("workspace-{}", number % WORKSPACES))?.into(),
        name: Name::parse(name(number))?,
        principal: Some(PrincipalId::parse(principal(number))?.into()),
        username: None,
        token_type: TokenType::Custom,
        scopes: ScopeSet::new(scopes)?.into(),
        external_id: None,
        profile: Some(ProfileName::parse("strapi".to_owned())?.into()),
        extras: Arc::default(),
        expire_time: Some((SystemTime::now() + LIFETIME).into()),
        create_time: SystemTime::now().into(),
        generation: Generation::FIRST,
        revision: Revision::ZERO,
    })
}

/// Of 20 characters.
fn name(number: usize) -> String {
    format!("deploy robot {number:07}")
}

fn principal(number: usize) -> String {
    format!("user-{:06}@acme.example", number / FAMILY)
}

/// Three or four.
fn scopes(number: usize) -> Vec<String> {
    let combination = number % COMBINATIONS;
    let kinds = ["articles", "authors", "orders", "invoices", "webhooks", "media", "reports"];
    let kinds = kinds.iter().cycle().skip(combination).step_by(2).take(3 + combination % 2);
    kinds.enumerate().map(|(place, kind)| format!("{kind}:{place}:{combination}:read")).collect()
}

/// As many proofs as a server remembers.
fn remembered(prover: &Prover) -> ProofCache {
    let proofs = ProofCache::new(PROOFS);
    for _ in 0..PROOFS {
        let proof = prover.proof(PresentedText::new("a secret that nobody asks about"));
        proofs.remember(TokenId::generate(), Generation::FIRST, proof);
    }
    proofs
}

/// What glibc takes for so many bytes that are shared, with the two counts of who has them.
fn shared(bytes: usize) -> usize {
    allocated(2 * size_of::<usize>() + bytes)
}

/// What glibc takes to hand out so many bytes.
fn allocated(bytes: usize) -> usize {
    (bytes + size_of::<usize>()).next_multiple_of(16).max(32)
}

/// Resident memory of this process, in bytes.
fn resident() -> Outcome<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? * 1024)
}

#[expect(clippy::cast_precision_loss, reason = "what a machine has fits into 52 bits")]
fn ratio(bytes: usize, tokens: usize) -> f64 {
    bytes as f64 / tokens as f64
}
