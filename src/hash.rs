//! argon2id, which holds secrets at rest; the only file that knows it, and the bound on how much of it runs at once.
//!
//! A secret has 256 random bits, so nobody guesses it, however cheap the hash: memory-hardness adds little. The default
//! cost is therefore chosen by measurement, so that a cold introspection is not all argon2 (`benches/argon2_cost.rs`,
//! `docs/performance/argon2.md`); [`Cost::OWASP`] is there for whoever must follow that advice to the letter.

mod pool;

use std::fmt;
use std::time::Duration;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use rand::TryRng as _;
use tokio::sync::oneshot;
use zeroize::Zeroize as _;

use self::pool::Pool;
use crate::keyring::Pepper;
use crate::token::Secret;

/// What one hash costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Cost {
    /// 64 KiB, one pass: tens of microseconds.
    pub const DEFAULT: Self = Self { memory: 64, passes: 1 };
    /// 19 MiB, two passes: the first choice of OWASP's Password Storage Cheat Sheet for argon2id; tens of
    /// milliseconds.
    pub const OWASP: Self = Self { memory: 19 * 1024, passes: 2 };
}

/// The most that a row may ask of us: a hash that wants more is refused unread, lest a hostile row exhaust the memory.
const LARGEST: Cost = Cost { memory: 128 * 1024, passes: 16 };
const MOST_LANES: u32 = 4;

/// A hash as a PHC string. It proves nothing by itself, but is nobody's business either: never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHash(String);

impl SecretHash {
    /// Takes what a row holds; it is looked at only when a secret is proved by it.
    #[must_use]
    pub const fn from_phc(text: String) -> Self {
        Self(text)
    }

    /// The PHC string, for the row.
    #[must_use]
    pub fn as_phc(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretHash(redacted)")
    }
}

/// Why there is no hash and no verdict.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many wait already; come back shortly.
    #[error("too many secrets wait to be hashed")]
    Overloaded,
    /// The row holds no hash that we would compute.
    #[error("the stored hash is not one of ours")]
    Unusable,
    /// No randomness, no memory, or the pool is gone.
    #[error("hashing failed: {0}")]
    Failed(String),
}

/// Runs argon2id on blocking threads, so many at once and no more.
#[derive(Clone)]
pub struct Hasher {
    cost: Cost,
    pool: Pool<Memory>,
    wait: Duration,
}

impl Hasher {
    /// A pool that runs `width` hashes at once and lets each caller wait at most `wait` for its turn.
    #[must_use]
    pub fn new(cost: Cost, width: usize, wait: Duration) -> Self {
        Self { cost, pool: Pool::new(width), wait }
    }

    /// Hashes a new secret.
    ///
    /// # Errors
    /// [`HashError::Overloaded`] or [`HashError::Failed`].
    pub async fn hash(&self, secret: &Secret, pepper: &Pepper) -> Result<SecretHash, HashError> {
        let (secret, pepper, cost) = (secret.clone(), pepper.clone(), self.cost);
        self.run(move |memory| hash(&secret, &pepper, cost, memory)).await
    }

    /// Whether a hash is that of this secret.
    ///
    /// # Errors
    /// [`HashError`]: there is no verdict.
    pub async fn verify(
        &self,
        secret: &Secret,
        pepper: &Pepper,
        hash: &SecretHash,
    ) -> Result<bool, HashError> {
        let (secret, pepper, hash) = (secret.clone(), pepper.clone(), hash.clone());
        self.run(move |memory| verify(&secret, &pepper, &hash, memory)).await
    }

    /// Work that has begun is not cancelled when its caller goes away, and keeps its worker until it is done.
    async fn run<Done: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> Result<Done, HashError> + Send + 'static,
    ) -> Result<Done, HashError> {
        let (sender, mut answer) = oneshot::channel();
        let turn = self.pool.hand_in(move |memory| {
            if !sender.is_closed() {
                drop(sender.send(work(memory)));
            }
        });
        let done = match tokio::time::timeout(self.wait, &mut answer).await {
            Ok(done) => done,
            Err(_) if turn.call_off() => return Err(HashError::Overloaded),
            Err(_) => answer.await,
        };
        // Not the panic's own words, which may hold anything; the log tells where it was.
        done.map_err(|_| HashError::Failed("the work panicked".to_owned()))?
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hasher").field("cost", &self.cost).finish_non_exhaustive()
    }
}

/// What argon2 fills, kept by a worker from one hash to the next and wiped when that goes.
#[derive(Default)]
struct Memory(Vec<Block>);

impl Memory {
    fn of(&mut self, params: &Params) -> &mut [Block] {
        if self.0.len() < params.block_count() {
            *self = Self(vec![Block::new(); params.block_count()]);
        }
        &mut self.0
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Block::zeroize);
    }
}

fn hash(secret: &Secret, pepper: &Pepper, cost: Cost, memory: &mut Memory) -> Result<SecretHash, HashError> {
    let mut salt = [0; 16];
    rand::rngs::SysRng.try_fill_bytes(&mut salt).map_err(failed)?;
    let params = Params::new(cost.memory, cost.passes, 1, None).map_err(failed)?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(VERSION.into()),
        params: ParamsString::try_from(&params).map_err(failed)?,
        salt: Some(Salt::new(&salt).map_err(failed)?),
        hash: Some(output(secret, pepper, &salt, params, Params::DEFAULT_OUTPUT_LEN, memory)?),
    };
    Ok(SecretHash(hash.to_string()))
}

fn verify(
    secret: &Secret,
    pepper: &Pepper,
    hash: &SecretHash,
    memory: &mut Memory,
) -> Result<bool, HashError> {
    let hash = PasswordHash::new(hash.as_phc()).map_err(|_| HashError::Unusable)?;
    let params = Params::try_from(&hash).map_err(|_| HashError::Unusable)?;
    let within = params.m_cost() <= LARGEST.memory
        && params.t_cost() <= LARGEST.passes
        && params.p_cost() <= MOST_LANES;
    let ours = hash.algorithm == Algorithm::Argon2id.ident() && hash.version == Some(VERSION.into());
    let (Some(salt), Some(expected), true) = (hash.salt, hash.hash, within && ours) else {
        return Err(HashError::Unusable);
    };
    // Compared in constant time.
    Ok(output(secret, pepper, &salt, params, expected.len(), memory)? == expected)
}

const VERSION: Version = Version::V0x13;

/// What argon2id makes of a secret.
fn output(
    secret: &Secret,
    pepper: &Pepper,
    salt: &[u8],
    params: Params,
    length: usize,
    memory: &mut Memory,
) -> Result<Output, HashError> {
    let blocks = memory.of(&params);
    let argon2 = Argon2::new_with_secret(pepper.expose(), Algorithm::Argon2id, VERSION, params);
    let argon2 = argon2.map_err(failed)?;
    let mut bytes = [0; Output::MAX_LENGTH];
    let output = bytes.get_mut(..length).ok_or(HashError::Unusable)?;
    argon2.hash_password_into_with_memory(secret.expose(), salt, &mut *output, blocks).map_err(failed)?;
    Output::new(output).map_err(failed)
}

fn failed(error: impl fmt::Display) -> HashError {
    HashError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::keyring::ServerKey;
    use crate::token::Kid;

    const WAIT: Duration = Duration::from_millis(20);

    fn pepper(byte: u8) -> Pepper {
        ServerKey::derive(Kid::FIRST, &Zeroizing::new([byte; 32])).unwrap().pepper()
    }

    #[tokio::test]
    async fn a_hash_proves_its_secret_under_its_key_and_nothing_else() {
        let hasher = Hasher::new(Cost::DEFAULT, 2, WAIT);
        let (secret, other) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        let hash = hasher.hash(&secret, &pepper(1)).await.unwrap();
        assert!(hash.as_phc().starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        assert!(hasher.verify(&secret, &pepper(1), &hash).await.unwrap());
        assert!(!hasher.verify(&other, &pepper(1), &hash).await.unwrap());
        assert!(!hasher.verify(&secret, &pepper(2), &hash).await.unwrap());
    }

    #[tokio::test]
    async fn a_hash_made_at_another_cost_still_proves_its_secret() {
        let costly = Hasher::new(Cost { memory: 1024, passes: 2 }, 2, WAIT);
        let secret = Secret::generate().unwrap();
        let hash = costly.hash(&secret, &pepper(1)).await.unwrap();
        assert!(Hasher::new(Cost::DEFAULT, 2, WAIT).verify(&secret, &pepper(1), &hash).await.unwrap());
    }

    #[tokio::test]
    async fn a_row_cannot_ask_for_more_than_the_cap() {
        let hasher = Hasher::new(Cost::DEFAULT, 2, WAIT);
        let salt_and_hash = "c2FsdHNhbHRzYWx0c2FsdA$tJ0wMSIYQpPZ7nNQMLkOiXwCzEMoPBfjyVjoQXgvuQM";
        for hostile in ["m=4194304,t=1,p=1", "m=64,t=1000000,p=1", "m=64,t=1,p=8"] {
            let hash = SecretHash::from_phc(format!("$argon2id$v=19${hostile}${salt_and_hash}"));
            let verdict = hasher.verify(&Secret::generate().unwrap(), &pepper(1), &hash).await;
            assert!(matches!(verdict, Err(HashError::Unusable)), "{hostile}");
        }
    }

    /// A caller that hangs up frees nothing before its hash is done.
    #[tokio::test(flavor = "multi_thread")]
    async fn an_abandoned_hash_still_counts_against_the_pool() {
        let hasher = Hasher::new(Cost::DEFAULT, 1, WAIT);
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let slow = hasher.clone();
        let abandoned = tokio::spawn(async move {
            let work = move |_: &mut Memory| {
                begun.send(()).unwrap();
                Ok(ended.recv().is_ok())
            };
            slow.run(work).await
        });
        has_begun.recv().unwrap();
        abandoned.abort();
        assert!(abandoned.await.unwrap_err().is_cancelled());
        let secret = Secret::generate().unwrap();
        assert!(matches!(hasher.hash(&secret, &pepper(1)).await, Err(HashError::Overloaded)));
        drop(end);
        while hasher.hash(&secret, &pepper(1)).await.is_err() {}
    }
}
