//! What argon2id costs beside the other steps of a cold introspection: the figures behind the default cost.
//!
//! `cargo bench --bench argon2_cost -- --write` writes them to `docs/performance/argon2.md`.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use tokenkeep::hash::{Cost, HashError, Hasher, SecretHash};
use tokenkeep::keyring::{Keyring, Origin, ServerKey};
use tokenkeep::profile::TokenType;
use tokenkeep::store::tokens::{self, NewSecret, NewToken};
use tokenkeep::store::{DatabaseOptions, Store, credentials};
use tokenkeep::text::{Description, Initiator, Metadata, Name};
use tokenkeep::token::{
    Audiences, Cidrs, Expiry, IssuedSecret, Kid, Presented, Scope, ScopeSet, Secret, TokenId,
};
use tokenkeep::workspace::{TokenPrefix, WorkspaceId};

use self::measure::database::{FIRST, PrivateDatabase};
use self::measure::page::{self, Outcome};
use self::measure::rounds::{Rounds, readable, readable_range};

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod measure {
    pub(crate) mod database;
    pub(crate) mod page;
    pub(crate) mod rounds;
}

const ROUNDS: usize = 21;

/// About how long each step is repeated in each round.
const TURN: Duration = Duration::from_millis(60);

/// Rows to read from, so that no read is of the row before.
const TOKENS: usize = 1_000;

const COSTS: [(&str, Cost); 5] = [
    ("argon2id, 64 KiB, 1 pass (`default`)", Cost::DEFAULT),
    ("argon2id, 256 KiB, 1 pass", Cost { memory: 256, passes: 1 }),
    ("argon2id, 1 MiB, 1 pass", Cost { memory: 1_024, passes: 1 }),
    ("argon2id, 4 MiB, 1 pass", Cost { memory: 4_096, passes: 1 }),
    ("argon2id, 19 MiB, 2 passes (`owasp`)", Cost::OWASP),
];

fn main() -> Outcome<()> {
    let database = PrivateDatabase::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let bench = Bench::prepare(&database).await?;
        // On a thread of the runtime, where the server's own work runs too.
        let steps = tokio::spawn(bench.run()).await??;
        let versions = format!("argon2 {}, {}", locked("argon2"), database.version().await?);
        page::publish("argon2.md", &format!("{}\n{}", page::provenance(&versions)?, table(&steps)?))
    })
}

/// The version of a dependency that was built in.
fn locked(name: &str) -> &'static str {
    let entry = include_str!("../Cargo.lock").split_once(&format!("name = \"{name}\"\nversion = \""));
    entry.and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default()
}

/// What a cold introspection does, one after the other.
#[derive(Clone, Copy)]
enum Step {
    Parse,
    CheckTag,
    ReadRow,
    /// The way to a blocking thread and back, with a hash that nobody can compute.
    Cross,
    /// argon2id at one of [`COSTS`], the way there and back included.
    Verify(usize),
}

impl Step {
    fn all() -> Vec<Self> {
        let mut steps = vec![Self::Parse, Self::CheckTag, Self::ReadRow, Self::Cross];
        steps.extend((0..COSTS.len()).map(Self::Verify));
        steps
    }

    fn name(self) -> &'static str {
        match self {
            Self::Parse => "shape and checksum",
            Self::CheckTag => "tag",
            Self::ReadRow => "row, from the pool and back",
            Self::Cross => "the way to a hashing thread and back",
            Self::Verify(which) => COSTS.get(which).map_or("", |(name, _)| *name),
        }
    }
}

/// One token, as its client and as its row hold it.
struct Issued {
    id: TokenId,
    text: String,
}

struct Bench {
    keyring: Keyring,
    store: Store,
    hasher: Hasher,
    issued: Vec<Issued>,
    secret: Secret,
    /// Of the secret, one for each of [`COSTS`].
    by_cost: Vec<SecretHash>,
}

impl Bench {
    async fn prepare(database: &PrivateDatabase) -> Outcome<Self> {
        let keyring = Keyring::read(&database.directory().join("keyring"))?;
        let store = Store::new(&DatabaseOptions::new(SecretString::from(database.url(FIRST))))?;
        store.migrate().await?;
        let hasher = Hasher::new(Cost::DEFAULT, 1, Duration::from_secs(10));
        let key = keyring.key(Kid::FIRST).ok_or("the keyring lacks its first key")?;
        let secret = Secret::generate()?;
        let mut by_cost = Vec::new();
        for (_, cost) in COSTS {
            by_cost.push(Hasher::new(cost, 1, Duration::from_secs(10)).hash(&secret, &key.pepper()).await?);
        }
        let mut issued = Vec::new();
        for _ in 0..TOKENS {
            issued.push(issue(&store, &hasher, key).await?);
        }
        Ok(Self { keyring, store, hasher, issued, secret, by_cost })
    }

    async fn run(self) -> Outcome<Vec<(Step, Rounds)>> {
        let mut steps: Vec<_> = Step::all().into_iter().map(|step| (step, Rounds::default())).collect();
        for _ in 0..ROUNDS {
            for (step, rounds) in &mut steps {
                rounds.add(self.time(*step).await?);
            }
        }
        Ok(steps)
    }

    /// Seconds for one time.
    async fn time(&self, step: Step) -> Outcome<f64> {
        match step {
            Step::Parse => each(&self.issued, |issued| Presented::parse(&issued.text).is_ok()),
            Step::CheckTag => {
                let presented: Result<Vec<_>, _> =
                    self.issued.iter().map(|issued| Presented::parse(&issued.text)).collect();
                each(&presented?, |presented| self.keyring.origin(presented) == Origin::Issued)
            }
            Step::ReadRow => repeat(|time| self.read_row(time)).await,
            Step::Cross => repeat(|_| self.cross()).await,
            Step::Verify(which) => {
                let hash = self.by_cost.get(which).ok_or("no such cost")?;
                repeat(|_| async { Ok(self.verify(hash).await?) }).await
            }
        }
    }

    async fn read_row(&self, time: usize) -> Outcome<bool> {
        let issued = self.issued.get(time % TOKENS).ok_or("no such token")?;
        let mut connection = self.store.connection().await?;
        Ok(!credentials::read(&mut connection, &[issued.id]).await?.of.is_empty())
    }

    async fn cross(&self) -> Outcome<bool> {
        let verdict = self.verify(&SecretHash::from_phc(String::new())).await;
        Ok(matches!(verdict, Err(HashError::Unusable)))
    }

    async fn verify(&self, hash: &SecretHash) -> Result<bool, HashError> {
        let pepper = self.keyring.key(Kid::FIRST).ok_or(HashError::Unusable)?.pepper();
        self.hasher.verify(&self.secret, &pepper, hash).await
    }
}

async fn issue(store: &Store, hasher: &Hasher, key: &ServerKey) -> Outcome<Issued> {
    let (id, secret) = (TokenId::generate(), Secret::generate()?);
    let text =
        IssuedSecret::issue(&TokenPrefix::default(), key.kid(), id, &secret, |signed| key.sign(signed));
    let token = NewToken {
        id,
        workspace: WorkspaceId::parse(WorkspaceId::SYSTEM.to_owned())?,
        name: Name::parse("measured".to_owned())?,
        description: Description::parse(String::new())?,
        principal: None,
        creator: Initiator::parse("benchmark".to_owned())?,
        token_type: TokenType::Custom,
        scopes: ScopeSet::new(vec![Scope::parse("articles:*".to_owned())?])?,
        audiences: Audiences::default(),
        allowed_cidrs: Cidrs::default(),
        external_id: None,
        metadata: Metadata::default(),
        expiry: Expiry::Never,
        secret: NewSecret {
            kid: key.kid(),
            tag: text.tag(),
            hash: hasher.hash(&secret, &key.pepper()).await?,
            obfuscated: text.obfuscated(),
        },
    };
    tokens::insert(&mut store.connection().await?, token).await?;
    Ok(Issued { id, text: text.expose().to_owned() })
}

/// Seconds for one of the items, all of them taken again and again. What takes nanoseconds leaves no time for a clock.
fn each<Item>(items: &[Item], work: impl Fn(&Item) -> bool) -> Outcome<f64> {
    let begun = Instant::now();
    let mut times = 0_u32;
    while begun.elapsed() < TURN {
        if !items.iter().all(|item| black_box(work(black_box(item)))) {
            return Err("a step did not do its work".into());
        }
        times += u32::try_from(items.len())?;
    }
    Ok(begun.elapsed().as_secs_f64() / f64::from(times))
}

/// Seconds for one time; `work` is told which time it is and says whether it went well.
async fn repeat<Work: Future<Output = Outcome<bool>>>(work: impl Fn(usize) -> Work) -> Outcome<f64> {
    let begun = Instant::now();
    let mut times = 0_u32;
    while begun.elapsed() < TURN {
        if !work(usize::try_from(times)?).await? {
            return Err("a step did not do its work".into());
        }
        times += 1;
    }
    Ok(begun.elapsed().as_secs_f64() / f64::from(times))
}

fn table(steps: &[(Step, Rounds)]) -> Outcome<String> {
    let median = |wanted: fn(&Step) -> bool| {
        steps.iter().filter(|(step, _)| wanted(step)).map(|(_, rounds)| rounds.median()).sum::<f64>()
    };
    let before = median(|step| matches!(step, Step::Parse | Step::CheckTag | Step::ReadRow));
    let mut text = format!(
        "{ROUNDS} rounds, in each of which every step has its turn.\n\n\
         | step | median | half of the rounds | share of the four steps |\n|---|---|---|---|\n"
    );
    for (step, rounds) in steps {
        let (median, half) = (rounds.median(), readable_range(rounds.middle_half()));
        let share = match step {
            Step::Verify(_) => format!("{:.0} %", 100.0 * median / (before + median)),
            Step::Parse | Step::CheckTag | Step::ReadRow | Step::Cross => String::new(),
        };
        writeln!(text, "| {} | {} | {half} | {share} |", step.name(), readable(median))?;
    }
    Ok(text)
}
