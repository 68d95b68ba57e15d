//! argon2id, which holds secrets at rest; the only file that knows it, and the bound on how much of it runs at once.
//!
//! A secret has 256 random bits, so nobody guesses it, however cheap the hash: memory-hardness adds little. The default
//! cost is therefore chosen by measurement, so that a cold introspection is not all argon2 (`benches/argon2_cost.rs`,
//! `docs/performance/argon2.md`); [`Cost::OWASP`] is there for whoever must follow that advice to the letter.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{CustomizedPasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use rand::TryRng as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
#[derive(Debug, Clone)]
pub struct Hasher {
    cost: Cost,
    permits: Arc<Semaphore>,
    wait: Duration,
}

impl Hasher {
    /// A pool that runs `width` hashes at once and lets each caller wait at most `wait` for its turn.
    #[must_use]
    pub fn new(cost: Cost, width: usize, wait: Duration) -> Self {
        Self { cost, permits: Arc::new(Semaphore::new(width)), wait }
    }

    /// Hashes a new secret.
    ///
    /// # Errors
    /// [`HashError::Overloaded`] or [`HashError::Failed`].
    pub async fn hash(&self, secret: &Secret, pepper: &Pepper) -> Result<SecretHash, HashError> {
        let (secret, pepper, cost) = (secret.clone(), pepper.clone(), self.cost);
        self.run(move || hash(&secret, &pepper, cost)).await
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
        self.run(move || verify(&secret, &pepper, &hash)).await
    }

    /// The permit goes into the closure: blocking work is not cancelled when its caller goes away, and a permit that
    /// returned early would let more run than the pool is wide.
    async fn run<Done: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<Done, HashError> + Send + 'static,
    ) -> Result<Done, HashError> {
        let permit = self.permit().await?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        // Not the panic's own words, which may hold anything; the log tells where it was.
        done.await.map_err(|_| HashError::Failed("the work panicked".to_owned()))?
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, HashError> {
        let turn = tokio::time::timeout(self.wait, Arc::clone(&self.permits).acquire_owned()).await;
        turn.map_err(|_| HashError::Overloaded)?
            .map_err(|_| HashError::Failed("the pool is closed".to_owned()))
    }
}

fn argon2(pepper: &Pepper, cost: Cost) -> Result<Argon2<'_>, HashError> {
    let params = Params::new(cost.memory, cost.passes, 1, None).map_err(failed)?;
    Argon2::new_with_secret(pepper.expose(), Algorithm::Argon2id, Version::V0x13, params).map_err(failed)
}

fn hash(secret: &Secret, pepper: &Pepper, cost: Cost) -> Result<SecretHash, HashError> {
    let mut salt = [0; 16];
    rand::rngs::SysRng.try_fill_bytes(&mut salt).map_err(failed)?;
    let params = Params::new(cost.memory, cost.passes, 1, None).map_err(failed)?;
    let hasher = argon2(pepper, cost)?;
    let hash = hasher
        .hash_password_customized(secret.expose(), &salt, Some("argon2id"), None, params)
        .map_err(failed)?;
    Ok(SecretHash(hash.to_string()))
}

fn verify(secret: &Secret, pepper: &Pepper, hash: &SecretHash) -> Result<bool, HashError> {
    let hash = PasswordHash::new(hash.as_phc()).map_err(|_| HashError::Unusable)?;
    let params = Params::try_from(&hash).map_err(|_| HashError::Unusable)?;
    let within = params.m_cost() <= LARGEST.memory
        && params.t_cost() <= LARGEST.passes
        && params.p_cost() <= MOST_LANES;
    if !within || hash.algorithm.as_str() != "argon2id" {
        return Err(HashError::Unusable);
    }
    match argon2(pepper, Cost::DEFAULT)?.verify_password(secret.expose(), &hash) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(failed(error)),
    }
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

    /// The permit travels with the work: a caller that hangs up frees nothing before its hash is done.
    #[tokio::test]
    async fn an_abandoned_hash_still_counts_against_the_pool() {
        let hasher = Hasher::new(Cost { memory: 64 * 1024, passes: 4 }, 1, WAIT);
        let secret = Secret::generate().unwrap();
        let pepper = pepper(1);
        let abandoned = tokio::time::timeout(Duration::from_millis(1), hasher.hash(&secret, &pepper)).await;
        assert!(abandoned.is_err());
        assert_eq!(hasher.permits.available_permits(), 0);
        assert!(matches!(hasher.hash(&secret, &pepper).await, Err(HashError::Overloaded)));
    }
}
