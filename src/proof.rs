//! Remembers which secrets have been proved, so that argon2 runs once for each secret and process, as long as it is
//! remembered.

use std::fmt;

use hmac::digest::consts::U16;
use hmac::{Hmac, KeyInit as _, Mac as _};
use quick_cache::sync::Cache;
use rand::TryRng as _;
use rand::rngs::{SysError, SysRng};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};
use zeroize::Zeroizing;

use crate::token::{Generation, PresentedText, TokenId};

/// What a token string is recognised by, once its tag and its secret were proved: an HMAC of all of it, under a key that
/// only this process ever had. It is compared in constant time, and tells nothing of the secret.
///
/// The first half of the HMAC, the least that RFC 2104 (section 5) advises to keep: whoever looks for another string of
/// the same proof has not the key, and so must present them here, 2^127 on average.
#[derive(Clone, Copy)]
pub struct Proof([u8; 16]);

impl Proof {
    fn words(&self) -> impl Iterator<Item = u64> {
        let (words, _) = self.0.as_chunks();
        words.iter().map(|word| u64::from_ne_bytes(*word))
    }
}

impl PartialEq for Proof {
    fn eq(&self, other: &Self) -> bool {
        // By words: bytes would take eight times as many steps.
        let (ours, theirs) = (self.words(), other.words());
        ours.zip(theirs).fold(Choice::from(1), |same, (our, their)| same & our.ct_eq(&their)).into()
    }
}

impl Eq for Proof {}

impl fmt::Debug for Proof {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Proof(redacted)")
    }
}

/// Makes proofs of token strings.
#[derive(Clone)]
pub struct Prover(Hmac<Sha256>);

impl Prover {
    /// One with a key of its own.
    ///
    /// # Errors
    /// The operating system's, if it has no randomness to give.
    pub fn new() -> Result<Self, SysError> {
        let mut key = Zeroizing::new([0; 64]);
        SysRng.try_fill_bytes(key.as_mut_slice())?;
        Ok(Self(Hmac::new((&*key).into())))
    }

    /// What a token string is recognised by.
    #[must_use]
    pub fn proof(&self, text: PresentedText<'_>) -> Proof {
        let whole = self.0.clone().chain_update(text.expose()).finalize().into_bytes();
        let (first, _) = whole.split::<U16>();
        Proof(first.into())
    }
}

impl fmt::Debug for Prover {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Prover(redacted)")
    }
}

/// The proofs of the most useful (id, generation) pairs, bounded in number.
pub struct ProofCache(Cache<(TokenId, Generation), Proof>);

impl ProofCache {
    /// An empty cache of at most `capacity` proofs, about 75 bytes each.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity))
    }

    /// The proof of the string whose secret was proved for this generation of this token.
    #[must_use]
    pub fn known(&self, id: TokenId, generation: Generation) -> Option<Proof> {
        self.0.get(&(id, generation))
    }

    /// Remembers that argon2 has proved the secret in the string of this proof.
    pub fn remember(&self, id: TokenId, generation: Generation, proof: Proof) {
        self.0.insert((id, generation), proof);
    }
}

impl fmt::Debug for ProofCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ProofCache").field("proofs", &self.0.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_that_was_proved_is_known() {
        let (prover, cache) = (Prover::new().unwrap(), ProofCache::new(10));
        let (id, [ours, other]) = (TokenId::generate(), ["one", "another"].map(PresentedText::new));
        let proof = prover.proof(ours);
        assert_eq!(cache.known(id, Generation::FIRST), None);
        cache.remember(id, Generation::FIRST, proof);
        assert_eq!(cache.known(id, Generation::FIRST), Some(prover.proof(ours)));
        assert_ne!(cache.known(id, Generation::FIRST), Some(prover.proof(other)));
        assert_eq!(cache.known(id, Generation(2)), None);
        assert_eq!(cache.known(TokenId::generate(), Generation::FIRST), None);
    }

    #[test]
    fn provers_know_nothing_of_each_other() {
        let text = PresentedText::new("the same");
        assert!(Prover::new().unwrap().proof(text) != Prover::new().unwrap().proof(text));
    }
}
