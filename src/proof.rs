//! Remembers which secrets have been proved, so that argon2 runs once for each secret and process, as long as it is remembered.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use quick_cache::sync::Cache;
use rand::TryRng as _;
use rand::rngs::{SysError, SysRng};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::token::{Generation, Secret, TokenId};

/// The proofs of the most useful (id, generation) pairs, bounded in number. It holds no secret: each proof is an HMAC
/// under a key that only this process ever had.
pub struct ProofCache {
    key: Hmac<Sha256>,
    proofs: Cache<(TokenId, Generation), [u8; 32]>,
}

impl ProofCache {
    /// An empty cache of at most `capacity` proofs, about 100 bytes each.
    ///
    /// # Errors
    /// The operating system's, if it has no randomness to give.
    pub fn new(capacity: usize) -> Result<Self, SysError> {
        let mut key = Zeroizing::new([0; 64]);
        SysRng.try_fill_bytes(key.as_mut_slice())?;
        Ok(Self { key: Hmac::new((&*key).into()), proofs: Cache::new(capacity) })
    }

    /// Whether this very secret was proved for this generation of this token.
    #[must_use]
    pub fn holds(&self, id: TokenId, generation: Generation, secret: &Secret) -> bool {
        let proof = self.proofs.get(&(id, generation));
        proof.is_some_and(|proof| proof.ct_eq(&self.digest(secret)).into())
    }

    /// Remembers that argon2 has proved this secret.
    pub fn remember(&self, id: TokenId, generation: Generation, secret: &Secret) {
        self.proofs.insert((id, generation), self.digest(secret));
    }

    fn digest(&self, secret: &Secret) -> [u8; 32] {
        self.key.clone().chain_update(secret.expose()).finalize().into_bytes().into()
    }
}

impl fmt::Debug for ProofCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ProofCache").field("proofs", &self.proofs.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_that_was_proved_is_known() {
        let cache = ProofCache::new(10).unwrap();
        let (id, ours, other) =
            (TokenId::generate(), Secret::generate().unwrap(), Secret::generate().unwrap());
        assert!(!cache.holds(id, Generation::FIRST, &ours));
        cache.remember(id, Generation::FIRST, &ours);
        assert!(cache.holds(id, Generation::FIRST, &ours));
        assert!(!cache.holds(id, Generation::FIRST, &other));
        assert!(!cache.holds(id, Generation(2), &ours));
        assert!(!cache.holds(TokenId::generate(), Generation::FIRST, &ours));
    }
}
