//! Tags: what tells a token string that a server key issued from one that somebody made up. They prove no secret.

use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::truncated;
use crate::token::{Kid, Presented, Tag};

/// What the tag of a presented token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Issued under a key of ours.
    Issued,
    /// The key it names did not make its tag.
    Forged,
    /// It names a key that is not in this keyring.
    UnknownKey,
}

/// The subkey of one server key that makes and checks tags, and nothing else. Never printed.
#[derive(Clone)]
pub struct TagKey {
    bytes: Zeroizing<[u8; 64]>,
    mac: Hmac<Sha256>,
}

impl TagKey {
    /// Takes the 64 bytes of a key.
    #[must_use]
    pub fn new(bytes: Zeroizing<[u8; 64]>) -> Self {
        let mac = Hmac::new((&*bytes).into());
        Self { bytes, mac }
    }

    /// The tag of a token string whose part before the tag is `signed`.
    #[must_use]
    pub fn sign(&self, signed: &[u8]) -> Tag {
        Tag(truncated(self.mac.clone().chain_update(signed)))
    }

    /// The bytes, for a sidecar that shall stop forged tokens itself.
    #[must_use]
    pub fn expose(&self) -> &[u8; 64] {
        &self.bytes
    }
}

impl fmt::Debug for TagKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TagKey(redacted)")
    }
}

/// Tag keys by the names of their server keys: all that it takes to stop a forged token.
#[derive(Debug, Clone, Default)]
pub struct TagKeys(BTreeMap<Kid, TagKey>);

impl TagKeys {
    /// The key of that name.
    #[must_use]
    pub fn get(&self, kid: Kid) -> Option<&TagKey> {
        self.0.get(&kid)
    }

    /// All keys, by name.
    pub fn iter(&self) -> impl Iterator<Item = (Kid, &TagKey)> {
        self.0.iter().map(|(kid, key)| (*kid, key))
    }

    /// Checks the tag of a presented token, in constant time: about as long as one HMAC, and no more.
    #[must_use]
    pub fn origin(&self, presented: &Presented<'_>) -> Origin {
        match self.get(presented.kid) {
            None => Origin::UnknownKey,
            Some(key) if key.sign(presented.signed()) == presented.tag => Origin::Issued,
            Some(_) => Origin::Forged,
        }
    }
}

impl FromIterator<(Kid, TagKey)> for TagKeys {
    fn from_iter<Keys: IntoIterator<Item = (Kid, TagKey)>>(keys: Keys) -> Self {
        Self(keys.into_iter().collect())
    }
}
