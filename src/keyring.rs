//! The server keys: read from files, split into subkeys by purpose, used to sign token strings, to pepper their hashes
//! and to seal what callers carry back to us.
//!
//! A key file is named `<kid>.key`, kid being two base62 characters, and holds 32 random bytes as 64 hexadecimal
//! digits, as `openssl rand -hex 32` writes them. The database lists each kid with its fingerprint.

mod files;
mod replay;
mod seal;
mod tags;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

pub use files::{KeyringError, create_first_key, create_key, key_file};
pub use replay::{ReplayKeys, Unopenable, oldest_day, today};
pub use seal::{Purpose, Unreadable, Unsealable};
pub use tags::{Origin, TagKey, TagKeys};

use crate::revocation::Position;
use crate::token::{Kid, Presented, Tag};

/// Mixed into every derivation, so that the same key file used elsewhere yields other subkeys.
const SALT: &[u8] = b"tokenkeep/v1";

/// One server key, split by HKDF-SHA-256 into a subkey for each purpose. Never printed.
pub struct ServerKey {
    kid: Kid,
    fingerprint: String,
    tag: TagKey,
    cursor: Hmac<Sha256>,
    pepper: Zeroizing<[u8; 32]>,
    seal: Zeroizing<[u8; 32]>,
}

impl ServerKey {
    /// Splits 32 random bytes.
    ///
    /// # Errors
    /// Never in practice: the lengths are fixed.
    pub fn derive(kid: Kid, master: &Zeroizing<[u8; 32]>) -> Result<Self, hkdf::InvalidLength> {
        let hkdf = Hkdf::<Sha256>::new(Some(SALT), master.as_slice());
        Ok(Self {
            kid,
            fingerprint: hexadecimal(subkey::<16>(&hkdf, "fingerprint")?.iter()),
            tag: TagKey::new(subkey(&hkdf, "tag")?),
            cursor: Hmac::new((&*subkey::<64>(&hkdf, "cursor")?).into()),
            pepper: subkey(&hkdf, "pepper")?,
            seal: subkey(&hkdf, "page")?,
        })
    }

    /// The name of the key.
    #[must_use]
    pub const fn kid(&self) -> Kid {
        self.kid
    }

    /// Tells two keys apart without telling the key: 32 hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The tag of a token string whose part before the tag is `signed`.
    #[must_use]
    pub fn sign(&self, signed: &[u8]) -> Tag {
        self.tag.sign(signed)
    }

    /// The secret input of the hashes of tokens issued under this key.
    #[must_use]
    pub fn pepper(&self) -> Pepper {
        Pepper(self.pepper.clone())
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ServerKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

fn subkey<const BYTES: usize>(
    hkdf: &Hkdf<Sha256>,
    purpose: &str,
) -> Result<Zeroizing<[u8; BYTES]>, hkdf::InvalidLength> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    hkdf.expand(purpose.as_bytes(), bytes.as_mut_slice()).map(|()| bytes)
}

/// The first bytes of a MAC.
fn truncated<const BYTES: usize>(mac: Hmac<Sha256>) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (to, from) in bytes.iter_mut().zip(mac.finalize().into_bytes()) {
        *to = from;
    }
    bytes
}

fn hexadecimal<'bytes>(bytes: impl Iterator<Item = &'bytes u8>) -> String {
    bytes.fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The secret input of argon2 for the tokens of one key. Never printed.
#[derive(Clone)]
pub struct Pepper(Zeroizing<[u8; 32]>);

impl Pepper {
    /// The bytes, for hashing only.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Pepper(redacted)")
    }
}

/// The server keys that this process holds.
#[derive(Debug)]
pub struct Keyring {
    keys: BTreeMap<Kid, ServerKey>,
    tags: TagKeys,
}

impl Keyring {
    fn of(keys: BTreeMap<Kid, ServerKey>) -> Self {
        let tags = keys.iter().map(|(kid, key)| (*kid, key.tag.clone())).collect();
        Self { keys, tags }
    }

    /// The key of that name.
    #[must_use]
    pub fn key(&self, kid: Kid) -> Option<&ServerKey> {
        self.keys.get(&kid)
    }

    /// All keys, by name.
    pub fn keys(&self) -> impl Iterator<Item = &ServerKey> {
        self.keys.values()
    }

    /// The part of all keys that tells forged tokens from issued ones.
    #[must_use]
    pub const fn tags(&self) -> &TagKeys {
        &self.tags
    }

    /// Checks the tag of a presented token, in constant time: about as long as one HMAC, and no more.
    #[must_use]
    pub fn origin(&self, presented: &Presented<'_>) -> Origin {
        self.tags.origin(presented)
    }

    /// Makes a position into an opaque text that only our keys can have made. The same position gives the same text.
    #[must_use]
    pub fn cursor(&self, kid: Kid, position: Position) -> Option<String> {
        self.key(kid).map(|key| seal::cursor(key, position))
    }

    /// Reads a cursor back.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read_cursor(&self, text: &str) -> Result<Position, Unreadable> {
        seal::read_cursor(text, |kid| self.key(kid))
    }

    /// Seals bytes for a caller to carry and bring back: unreadable and unalterable.
    ///
    /// # Errors
    /// [`Unsealable`] if `kid` is not in the keyring or the operating system has no randomness.
    pub fn seal(
        &self,
        kid: Kid,
        purpose: Purpose,
        context: &[u8],
        message: &[u8],
    ) -> Result<String, Unsealable> {
        seal::seal(self.key(kid).ok_or(Unsealable)?, purpose, context, message)
    }

    /// Opens what [`Keyring::seal`] made with the same purpose and context.
    ///
    /// # Errors
    /// [`Unreadable`] for anything else.
    pub fn unseal(&self, purpose: Purpose, context: &[u8], text: &str) -> Result<Vec<u8>, Unreadable> {
        seal::unseal(text, purpose, context, |kid| self.key(kid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{IssuedSecret, Secret, TokenId};
    use crate::workspace::TokenPrefix;

    pub(super) fn keyring(kids: &[(&str, u8)]) -> Keyring {
        let key = |(kid, byte): &(&str, u8)| {
            let kid = Kid::parse(kid).unwrap();
            (kid, ServerKey::derive(kid, &Zeroizing::new([*byte; 32])).unwrap())
        };
        Keyring::of(kids.iter().map(key).collect())
    }

    fn issue(key: &ServerKey) -> IssuedSecret {
        let (prefix, secret) = (TokenPrefix::default(), Secret::generate().unwrap());
        IssuedSecret::issue(&prefix, key.kid(), TokenId::generate(), &secret, |signed| key.sign(signed))
    }

    fn origin(keyring: &Keyring, issued: &IssuedSecret) -> Origin {
        keyring.origin(&Presented::parse(issued.expose()).unwrap())
    }

    #[test]
    fn only_the_key_that_issued_a_token_takes_it_for_its_own() {
        let ours = keyring(&[("01", 1), ("02", 2)]);
        let issued = issue(ours.key(Kid::FIRST).unwrap());
        assert_eq!(origin(&ours, &issued), Origin::Issued);
        assert_eq!(origin(&keyring(&[("01", 3)]), &issued), Origin::Forged);
        assert_eq!(origin(&keyring(&[("02", 2)]), &issued), Origin::UnknownKey);
    }

    #[test]
    fn debug_tells_nothing_of_the_key() {
        let ring = keyring(&[("01", 0xAB)]);
        let told = format!("{ring:?} {:?} {:?}", ring.tags(), ring.key(Kid::FIRST).unwrap().pepper());
        assert!(!told.to_lowercase().contains("ab, ") && !told.contains("171"), "{told}");
    }

    /// Tokens outlive releases: a subkey that changes kills every token that was ever issued.
    #[test]
    fn the_derivation_never_changes() {
        let key = ServerKey::derive(Kid::FIRST, &Zeroizing::new([7; 32])).unwrap();
        assert_eq!(hexadecimal(key.sign(b"tk_01").0.iter()), "1f11da9cd147a43d");
        assert_eq!(key.fingerprint(), "08d7c9c13ce0acb0f1019e73a409b097");
    }
}
