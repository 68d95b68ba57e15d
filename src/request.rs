//! A mutation as its caller means it, whichever attempt at it this is: the request id, which makes a retry safe, and what
//! recognises a request without telling its id.

use std::fmt;

use uuid::{Uuid, Version};
use zeroize::Zeroizing;

use crate::text::Invalid;

/// The id that a caller made up for one intention. Whoever has it may be shown the secret that the request made, so it is
/// never printed and never kept.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(Zeroizing<[u8; 16]>);

impl RequestId {
    /// Takes a UUID of version 4: one of another version could be guessed.
    ///
    /// # Errors
    /// [`Invalid::Malformed`].
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let wanted = Invalid::Malformed("a UUID of version 4, like 9f1c6f0e-3f0a-4c55-8f0e-2d9a4c1b7a55");
        // Written with hyphens, as everybody writes it: 36 characters.
        let uuid = Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
        let uuid = uuid.filter(|uuid| uuid.get_version() == Some(Version::Random)).ok_or(wanted)?;
        Ok(Self(Zeroizing::new(uuid.into_bytes())))
    }

    /// The bytes, for deriving keys only.
    #[must_use]
    pub fn expose(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RequestId(redacted)")
    }
}

/// What a caller, an RPC and a request id come to, and no way back from it: by this a request is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestDigest(pub [u8; 32]);

/// What all the rest of a request comes to: another one under the same id is not the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

/// A secret that was sealed so that it can be shown again: only the replay key of its day opens it, and only together
/// with the request id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The day, counted from 1970-01-01 UTC.
    pub day: Day,
    /// The nonce and the ciphertext.
    pub bytes: Vec<u8>,
}

/// A day, counted from 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_random_uuid_is_a_request_id_and_none_is_printed() {
        let id = RequestId::parse("9f1c6f0e-3f0a-4c55-8f0e-2d9a4c1b7a55").unwrap();
        assert_eq!(RequestId::parse("9F1C6F0E-3F0A-4C55-8F0E-2D9A4C1B7A55").unwrap(), id);
        assert_eq!(format!("{id:?}"), "RequestId(redacted)");
        for wrong in [
            "",
            "1",
            "9f1c6f0e3f0a4c558f0e2d9a4c1b7a55",
            "{9f1c6f0e-3f0a-4c55-8f0e-2d9a4c1b7a55}",
            // Of version 7, of version 1, and nil.
            "0193a4b0-0000-7000-8000-000000000000",
            "9f1c6f0e-3f0a-1c55-8f0e-2d9a4c1b7a55",
            "00000000-0000-0000-0000-000000000000",
        ] {
            assert!(RequestId::parse(wrong).is_err(), "{wrong}");
        }
    }
}
