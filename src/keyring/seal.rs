//! What callers carry for us: page tokens, sealed, and cursors, signed. Both name the key they were made under.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::Mac as _;
use rand::TryRng as _;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::{ServerKey, truncated};
use crate::revocation::{HistoryId, Position};
use crate::token::{Kid, Revision};

/// What a sealed text is for: one made for one purpose is worthless for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A page of `ListTokens`.
    TokenPage,
    /// A page of `ListWorkspaces`.
    WorkspacePage,
    /// The next page of a list of principals.
    PrincipalPage,
    /// The next page of the audit.
    AuditPage,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::TokenPage => b"tokens\0",
            Self::WorkspacePage => b"workspaces\0",
            Self::PrincipalPage => b"principals\0",
            Self::AuditPage => b"audit\0",
        }
    }
}

/// A text cannot be sealed: its key is not here, or the operating system has no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot seal")]
pub struct Unsealable;

/// A text that somebody brought back cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It names a key that is not here: made by another server perhaps, or by nobody.
    #[error("made under the key {0}, which is not here")]
    UnknownKey(Kid),
    /// It was altered, or is of another purpose or context.
    #[error("not a text that was made here for this")]
    Altered,
}

const NONCE: usize = 24;

fn associated(kid: Kid, purpose: Purpose, context: &[u8]) -> Vec<u8> {
    [purpose.label(), kid.to_string().as_bytes(), context].concat()
}

pub(super) fn seal(
    key: &ServerKey,
    purpose: Purpose,
    context: &[u8],
    message: &[u8],
) -> Result<String, Unsealable> {
    let mut nonce = [0; NONCE];
    rand::rngs::SysRng.try_fill_bytes(&mut nonce).map_err(|_| Unsealable)?;
    let associated = associated(key.kid, purpose, context);
    let payload = Payload { msg: message, aad: &associated };
    let cipher = XChaCha20Poly1305::new((&*key.seal).into());
    let sealed = cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| Unsealable)?;
    Ok(format!("{}{}", key.kid, BASE64.encode([nonce.as_slice(), &sealed].concat())))
}

pub(super) fn unseal<'key>(
    text: &str,
    purpose: Purpose,
    context: &[u8],
    key: impl Fn(Kid) -> Option<&'key ServerKey>,
) -> Result<Vec<u8>, Unreadable> {
    let (key, bytes) = open_text(text, key)?;
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE>().ok_or(Unreadable::Altered)?;
    let associated = associated(key.kid, purpose, context);
    let cipher = XChaCha20Poly1305::new((&*key.seal).into());
    cipher
        .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &associated })
        .map_err(|_| Unreadable::Altered)
}

fn open_text<'key>(
    text: &str,
    key: impl Fn(Kid) -> Option<&'key ServerKey>,
) -> Result<(&'key ServerKey, Vec<u8>), Unreadable> {
    let (kid, body) = text.split_at_checked(2).ok_or(Unreadable::Altered)?;
    let kid = Kid::parse(kid).ok_or(Unreadable::Altered)?;
    let key = key(kid).ok_or(Unreadable::UnknownKey(kid))?;
    Ok((key, BASE64.decode(body).map_err(|_| Unreadable::Altered)?))
}

const MAC: usize = 16;

fn cursor_mac(key: &ServerKey, content: &[u8]) -> [u8; MAC] {
    truncated(key.cursor.clone().chain_update(content))
}

pub(super) fn cursor(key: &ServerKey, position: Position) -> String {
    let content = [position.history.0.as_bytes().as_slice(), &position.revision.0.to_be_bytes()].concat();
    let mac = cursor_mac(key, &content);
    format!("{}{}", key.kid, BASE64.encode([content.as_slice(), &mac].concat()))
}

pub(super) fn read_cursor<'key>(
    text: &str,
    key: impl Fn(Kid) -> Option<&'key ServerKey>,
) -> Result<Position, Unreadable> {
    let (key, bytes) = open_text(text, key)?;
    let (content, mac) = bytes.split_last_chunk::<MAC>().ok_or(Unreadable::Altered)?;
    if !bool::from(cursor_mac(key, content).ct_eq(mac)) {
        return Err(Unreadable::Altered);
    }
    position(content).ok_or(Unreadable::Altered)
}

fn position(content: &[u8]) -> Option<Position> {
    let (history, revision) = content.split_first_chunk::<16>()?;
    let revision = i64::from_be_bytes(revision.try_into().ok()?);
    Some(Position { history: HistoryId(Uuid::from_bytes(*history)), revision: Revision(revision) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::keyring;
    use super::*;

    proptest! {
        #[test]
        fn a_cursor_comes_back_and_is_the_same_every_time(history: [u8; 16], revision: i64) {
            let ring = keyring(&[("01", 1)]);
            let position = Position { history: HistoryId(Uuid::from_bytes(history)), revision: Revision(revision) };
            let text = ring.cursor(Kid::FIRST, position).unwrap();
            prop_assert_eq!(ring.read_cursor(&text), Ok(position));
            prop_assert_eq!(ring.cursor(Kid::FIRST, position).unwrap(), text);
        }

        #[test]
        fn a_sealed_text_opens_only_whole_and_only_for_its_purpose_and_context(
            content: Vec<u8>, position: prop::sample::Index, replacement in "[0-9A-Za-z_-]",
        ) {
            let ring = keyring(&[("01", 1), ("02", 2)]);
            let text = ring.seal(Kid::FIRST, Purpose::TokenPage, b"context", &content).unwrap();
            prop_assert_eq!(ring.unseal(Purpose::TokenPage, b"context", &text), Ok(content));
            prop_assert!(ring.unseal(Purpose::TokenPage, b"other", &text).is_err());
            prop_assert!(ring.unseal(Purpose::WorkspacePage, b"context", &text).is_err());
            let at = position.index(text.len());
            let mut changed = text.clone();
            changed.replace_range(at..=at, &replacement);
            prop_assert!(changed == text || ring.unseal(Purpose::TokenPage, b"context", &changed).is_err());
            prop_assert!(ring.unseal(Purpose::TokenPage, b"context", &text[..at]).is_err());
        }

        #[test]
        fn an_altered_cursor_is_refused(position: prop::sample::Index, replacement in "[0-9A-Za-z_-]") {
            let ring = keyring(&[("01", 1), ("02", 2)]);
            let position_of = Position { history: HistoryId(Uuid::nil()), revision: Revision(7) };
            let text = ring.cursor(Kid::FIRST, position_of).unwrap();
            let at = position.index(text.len());
            let mut changed = text.clone();
            changed.replace_range(at..=at, &replacement);
            prop_assert!(changed == text || ring.read_cursor(&changed).is_err());
        }

        #[test]
        fn anything_is_read_without_a_panic(text in "\\PC{0,80}") {
            let ring = keyring(&[("01", 1)]);
            let _ = ring.read_cursor(&text);
            drop(ring.unseal(Purpose::TokenPage, b"", &text));
        }
    }
}
