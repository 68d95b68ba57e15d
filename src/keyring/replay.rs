//! Replay keys: one a day, each made from the one before, which is then destroyed. What was sealed on a day that is over
//! nobody can open any more, whoever has the database and every key that there is.
//!
//! The file `replay` holds the key of the oldest day that may still be asked for, and the digest key, which stays. The
//! keys of later days follow from it, those of earlier ones do not.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use rand::TryRng as _;
use secrecy::SecretString;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::files::{parse_key, unwritable};
use super::{KeyringError, SALT, hexadecimal, truncated};
use crate::private_file::PrivateFile;
use crate::request::{Day, Fingerprint, RequestDigest, RequestId, Sealed};
use crate::token::TokenId;

const NONCE: usize = 24;

const SECONDS_A_DAY: u64 = 24 * 60 * 60;

type Key = Zeroizing<[u8; 32]>;

/// The key of a day; those of later days can be made from it.
#[derive(Clone)]
struct DayKey {
    day: Day,
    key: Key,
}

impl DayKey {
    /// The key of the same or a later day; `None` for an earlier one, which nobody can make any more.
    fn of(&self, day: Day) -> Option<Self> {
        let mut key = self.key.clone();
        for _ in 0..u32::try_from(day.0.checked_sub(self.day.0)?).ok()? {
            key = derived(&key, &[b"the next day"])?;
        }
        Some(Self { day, key })
    }

    /// What seals under this key for one request, which takes its id.
    fn cipher(&self, id: &RequestId) -> Option<XChaCha20Poly1305> {
        let key = derived(&self.key, &[b"request", id.expose()])?;
        Some(XChaCha20Poly1305::new((&*key).into()))
    }

    fn fingerprint(&self) -> Option<String> {
        Some(hexadecimal(derived(&self.key, &[b"fingerprint"])?.iter().take(16)))
    }
}

fn derived(key: &Key, purpose: &[&[u8]]) -> Option<Key> {
    let mut bytes = Key::default();
    let hkdf = Hkdf::<Sha256>::new(Some(SALT), key.as_slice());
    hkdf.expand_multi_info(purpose, bytes.as_mut_slice()).ok().map(|()| bytes)
}

/// Why a secret is not shown again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret cannot be opened any more")]
pub struct Unopenable;

/// The replay keys of this process, and the key by which it recognises requests. Never printed.
pub struct ReplayKeys {
    path: PathBuf,
    digest: Hmac<Sha256>,
    digest_key: Key,
    oldest: Mutex<DayKey>,
}

impl std::fmt::Debug for ReplayKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ReplayKeys").field("path", &self.path).finish_non_exhaustive()
    }
}

fn day_of(time: SystemTime) -> Day {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Day(i32::try_from(seconds / SECONDS_A_DAY).unwrap_or(i32::MAX))
}

impl ReplayKeys {
    /// Reads the file `replay` of a keyring's directory, or makes it if there is none. Days before `oldest` are over here;
    /// what the file holds is left to [`ReplayKeys::destroy_before`].
    ///
    /// # Errors
    /// [`KeyringError`], naming the file.
    pub fn open(directory: &Path, oldest: Day) -> Result<Self, KeyringError> {
        let path = directory.join("replay");
        let unreadable = |source| KeyringError::Unreadable { path: path.clone(), source };
        let held = fs::File::open(directory).map_err(unreadable)?;
        // Two who make one at once must not each go on with their own.
        held.lock().map_err(unreadable)?;
        let (digest_key, key) = match fs::read_to_string(&path).map(Zeroizing::new) {
            Ok(text) => parse(&text).ok_or_else(|| KeyringError::BadReplayKey(path.clone()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path, oldest)?,
            Err(error) => return Err(unreadable(error)),
        };
        let digest = Hmac::new_from_slice(digest_key.as_slice());
        let digest = digest.map_err(|_| KeyringError::BadReplayKey(path.clone()))?;
        let key = key.of(oldest).unwrap_or(key);
        Ok(Self { path, digest, digest_key, oldest: Mutex::new(key) })
    }

    /// Destroys the keys of all days before one, here and in the file.
    ///
    /// # Errors
    /// [`KeyringError::Unwritable`]; they are gone here, but not from the file.
    pub fn destroy_before(&self, day: Day) -> Result<(), KeyringError> {
        let mut oldest = self.oldest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(later) = oldest.of(day).filter(|_| day > oldest.day) {
            *oldest = later;
        }
        let stored = fs::read_to_string(&self.path).map(Zeroizing::new).ok();
        if stored.and_then(|text| parse(&text)).is_some_and(|(_, stored)| stored.day >= oldest.day) {
            return Ok(());
        }
        let written = write(&self.path, &self.digest_key, &oldest);
        written.map_err(|source| unwritable(&self.path, source))
    }

    /// Recognises a request of a caller.
    #[must_use]
    pub fn digest(&self, caller: TokenId, rpc: &str, id: &RequestId) -> RequestDigest {
        let mac = self.digest.clone().chain_update(b"request\0").chain_update(caller.as_uuid().as_bytes());
        RequestDigest(truncated(
            mac.chain_update(rpc.as_bytes()).chain_update(b"\0").chain_update(id.expose()),
        ))
    }

    /// Recognises what a request asks for, which may hold a secret.
    #[must_use]
    pub fn fingerprint(&self, rpc: &str, body: &[u8]) -> Fingerprint {
        let mac = self.digest.clone().chain_update(b"body\0").chain_update(rpc.as_bytes());
        Fingerprint(truncated(mac.chain_update(b"\0").chain_update(body)))
    }

    /// Seals a secret for whoever repeats a request on the same day or shortly after.
    ///
    /// # Errors
    /// [`Unopenable`] if the day is over, or the operating system has no randomness.
    pub fn seal(
        &self,
        day: Day,
        id: &RequestId,
        digest: RequestDigest,
        secret: &str,
    ) -> Result<Sealed, Unopenable> {
        let mut nonce = [0; NONCE];
        rand::rngs::SysRng.try_fill_bytes(&mut nonce).map_err(|_| Unopenable)?;
        let payload = Payload { msg: secret.as_bytes(), aad: &digest.0 };
        let cipher = self.key_of(day).and_then(|key| key.cipher(id)).ok_or(Unopenable)?;
        let sealed = cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| Unopenable)?;
        Ok(Sealed { day, bytes: [nonce.as_slice(), &sealed].concat() })
    }

    /// Opens what [`ReplayKeys::seal`] has made for the same request.
    ///
    /// # Errors
    /// [`Unopenable`] for anything else, and once the day's key is destroyed.
    pub fn unseal(
        &self,
        sealed: &Sealed,
        id: &RequestId,
        digest: RequestDigest,
    ) -> Result<SecretString, Unopenable> {
        let cipher = self.key_of(sealed.day).and_then(|key| key.cipher(id)).ok_or(Unopenable)?;
        let (nonce, message) = sealed.bytes.split_first_chunk::<NONCE>().ok_or(Unopenable)?;
        let opened = cipher.decrypt(&XNonce::from(*nonce), Payload { msg: message, aad: &digest.0 });
        let opened = Zeroizing::new(opened.map_err(|_| Unopenable)?);
        let text = std::str::from_utf8(&opened).map_err(|_| Unopenable)?;
        Ok(SecretString::from(text))
    }

    /// Tells the key of a day from every other, without telling the key; `None` if it is destroyed. The digest key is
    /// part of it: with another one a request would not be recognised.
    #[must_use]
    pub fn fingerprint_of(&self, day: Day) -> Option<String> {
        let of_day = self.key_of(day)?.fingerprint()?;
        let of_both: [u8; 16] =
            truncated(self.digest.clone().chain_update(b"fingerprint\0").chain_update(of_day));
        Some(hexadecimal(of_both.iter()))
    }

    fn key_of(&self, day: Day) -> Option<DayKey> {
        self.oldest.lock().unwrap_or_else(PoisonError::into_inner).of(day)
    }
}

/// The day by the clock of this server, with whose key it seals.
#[must_use]
pub fn today() -> Day {
    day_of(SystemTime::now())
}

/// The oldest day whose key may be asked for now: requests are recognised for `window`.
#[must_use]
pub fn oldest_day(window: Duration) -> Day {
    day_of(SystemTime::now().checked_sub(window).unwrap_or(UNIX_EPOCH))
}

/// Makes the file of the replay keys in a directory that its maker holds locked, and that has none.
pub(super) fn make_in(directory: &Path, oldest: Day) -> Result<(), KeyringError> {
    make(&directory.join("replay"), oldest).map(drop)
}

fn make(path: &Path, oldest: Day) -> Result<(Key, DayKey), KeyringError> {
    let made = generate(oldest).and_then(|made| write(path, &made.0, &made.1).map(|()| made));
    made.map_err(|source| unwritable(path, source))
}

fn generate(day: Day) -> io::Result<(Key, DayKey)> {
    let random = || {
        let mut key = Key::default();
        rand::rngs::SysRng.try_fill_bytes(key.as_mut_slice()).map(|()| key)
    };
    let both = random().and_then(|digest| Ok((digest, DayKey { day, key: random()? })));
    both.map_err(|error| io::Error::other(error.to_string()))
}

fn parse(text: &str) -> Option<(Key, DayKey)> {
    let mut words = text.split_whitespace();
    let (digest, day, key) = (words.next()?, words.next()?, words.next()?);
    let day_key = DayKey { day: Day(day.parse().ok()?), key: parse_key(key)? };
    words.next().is_none().then_some((parse_key(digest)?, day_key))
}

fn write(path: &Path, digest: &Key, oldest: &DayKey) -> io::Result<()> {
    let key = |key: &Key| Zeroizing::new(hexadecimal(key.iter()));
    let line = format!("{} {} {}", *key(digest), oldest.day.0, *key(&oldest.key));
    PrivateFile::begin(path)?.finish(&Zeroizing::new(line))
}

#[cfg(test)]
mod tests;
