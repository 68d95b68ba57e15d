//! The token string: how it is put together, how it is taken apart, and what makes it canonical.
//!
//! `<prefix>_<kid 2><id 22><secret 43><tag 11><crc 6>`, all base62 after the last `_`: 84 characters there, at most 93
//! in all, one word when double-clicked. `kid` names the server key; `tag` is 64 bits of HMAC-SHA-256 under it over
//! all before, so that a forged token is told from an issued one without a database; `crc` is the public CRC-32 over
//! all before, so that anybody can tell a token from noise. Neither replaces the secret.

use std::fmt;

use rand::TryRng as _;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;
use zeroize::{Zeroize as _, Zeroizing};

use super::kid::{KID, Kid};
use super::{TokenId, base62};
use crate::workspace::TokenPrefix;

/// The shape of every token, as a regular expression for scanners; the CRC tells the rest.
pub const SHAPE: &str = r"\b[a-z][a-z0-9_]{0,7}_[0-9A-Za-z]{84}\b";

const ID: usize = 22;
const SECRET: usize = 43;
const TAG: usize = 11;
const CRC: usize = 6;

/// What stands after the last `_`.
const BODY: usize = KID + ID + SECRET + TAG + CRC;

/// The 256 random bits of one generation of a token. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// Fresh from the operating system's generator.
    ///
    /// # Errors
    /// The operating system's, if it has no randomness to give.
    pub fn generate() -> Result<Self, rand::rngs::SysError> {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::rngs::SysRng.try_fill_bytes(bytes.as_mut_slice())?;
        Ok(Self(bytes))
    }

    /// The bits, for hashing only.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(redacted)")
    }
}

/// 64 bits of HMAC over a token string: the sign that a server key issued it. Compared in constant time.
#[derive(Clone, Copy)]
pub struct Tag(pub [u8; 8]);

impl PartialEq for Tag {
    fn eq(&self, other: &Self) -> bool {
        u64::from_ne_bytes(self.0).ct_eq(&u64::from_ne_bytes(other.0)).into()
    }
}

impl Eq for Tag {}

impl fmt::Debug for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Tag(redacted)")
    }
}

/// Why a string is not a token. None of this says anything about the secret in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No prefix, or one that no workspace may have.
    #[error("the prefix is not one of a token")]
    Prefix,
    /// Not 84 base62 characters after the last underscore.
    #[error("the body is not 84 characters of 0-9, A-Z, a-z")]
    Body,
    /// The checksum does not match: mistyped or cut.
    #[error("the checksum does not match")]
    Checksum,
    /// A number too large for its place, or an id of another version: we never issue such.
    #[error("the text is not canonical")]
    NotCanonical,
}

/// A presented string where it stands in a request, which may be anything. Never printed.
#[derive(Clone, Copy)]
pub struct PresentedText<'text>(&'text str);

impl<'text> PresentedText<'text> {
    /// Takes any text.
    #[must_use]
    pub const fn new(text: &'text str) -> Self {
        Self(text)
    }

    /// The string itself, to be taken apart.
    #[must_use]
    pub const fn expose(self) -> &'text str {
        self.0
    }

    /// The key and the token that the string names, if it is as long as a token. Whether it is one is not looked at.
    #[must_use]
    pub fn names(self) -> Option<(Kid, TokenId)> {
        let (prefix, body) = parts(self.0).ok()?;
        let (kid, rest) = body.split_at_checked(KID).filter(|_| prefix.len() <= TokenPrefix::LONGEST)?;
        let (id, _) = rest.split_at_checked(ID)?;
        Some((Kid::parse(kid)?, parse_id(id).ok()?))
    }

    /// A copy that outlives the request.
    #[must_use]
    pub fn to_secret(self) -> SecretString {
        SecretString::from(self.0)
    }
}

impl<'text> From<&'text SecretString> for PresentedText<'text> {
    fn from(secret: &'text SecretString) -> Self {
        Self(secret.expose_secret())
    }
}

impl fmt::Debug for PresentedText<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PresentedText(redacted)")
    }
}

/// A token string taken apart, not yet proved in any way.
pub struct Presented<'text> {
    /// The key it claims to be issued under.
    pub kid: Kid,
    /// The token it claims to be.
    pub id: TokenId,
    /// The secret it holds.
    pub secret: Secret,
    /// The tag it carries.
    pub tag: Tag,
    /// What the tag must be the HMAC of.
    signed: &'text str,
    /// All of it.
    text: PresentedText<'text>,
}

impl<'text> Presented<'text> {
    /// Takes a presented string apart, cheapest checks first.
    ///
    /// # Errors
    /// [`Malformed`]: it was not issued by any tokenkeep in this form.
    pub fn parse(text: &'text str) -> Result<Self, Malformed> {
        let (prefix, body) = parts(text)?;
        if !is_alphanumeric(body) {
            return Err(Malformed::Body);
        }
        if !TokenPrefix::is_one(prefix) {
            return Err(Malformed::Prefix);
        }
        let (checked, crc) = split_end(text, CRC)?;
        if base62::decode::<4>(crc) != Some(crc32fast::hash(checked.as_bytes()).to_be_bytes()) {
            return Err(Malformed::Checksum);
        }
        let (signed, tag) = split_end(checked, TAG)?;
        let (rest, secret) = split_end(signed, SECRET)?;
        let (rest, id) = split_end(rest, ID)?;
        let (_, kid) = split_end(rest, KID)?;
        Ok(Self {
            kid: Kid::parse(kid).ok_or(Malformed::Body)?,
            id: parse_id(id)?,
            secret: Secret(Zeroizing::new(base62::decode(secret).ok_or(Malformed::NotCanonical)?)),
            tag: Tag(base62::decode(tag).ok_or(Malformed::NotCanonical)?),
            signed,
            text: PresentedText(text),
        })
    }

    /// The whole string.
    #[must_use]
    pub const fn text(&self) -> PresentedText<'text> {
        self.text
    }

    /// What the tag must be the HMAC of.
    #[must_use]
    pub fn signed(&self) -> &[u8] {
        self.signed.as_bytes()
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Presented")
            .field("kid", &self.kid)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What stands before the last `_` and after it, where a token has one.
fn parts(text: &str) -> Result<(&str, &str), Malformed> {
    let (rest, body) = split_end(text, BODY).unwrap_or(("", ""));
    let wrong = || if text.contains('_') { Malformed::Body } else { Malformed::Prefix };
    rest.strip_suffix('_').map(|prefix| (prefix, body)).ok_or_else(wrong)
}

/// Looks at every byte, whatever those before it are, so that it can look at many at once.
fn is_alphanumeric(text: &str) -> bool {
    text.bytes().fold(true, |all, byte| all & byte.is_ascii_alphanumeric())
}

fn split_end(text: &str, width: usize) -> Result<(&str, &str), Malformed> {
    text.len().checked_sub(width).and_then(|middle| text.split_at_checked(middle)).ok_or(Malformed::Body)
}

fn parse_id(text: &str) -> Result<TokenId, Malformed> {
    let id = Uuid::from_bytes(base62::decode(text).ok_or(Malformed::NotCanonical)?);
    if id.get_version() == Some(uuid::Version::SortRand) && id.get_variant() == uuid::Variant::RFC4122 {
        return Ok(TokenId::from_uuid(id));
    }
    Err(Malformed::NotCanonical)
}

/// A token string on its way to the one caller who may see it. Wiped when dropped, never printed.
pub struct IssuedSecret {
    text: SecretString,
    tag: Tag,
}

impl IssuedSecret {
    /// Puts a token string together; `sign` is the HMAC of the key that `kid` names.
    pub fn issue(
        prefix: &TokenPrefix,
        kid: Kid,
        id: TokenId,
        secret: &Secret,
        sign: impl Fn(&[u8]) -> Tag,
    ) -> Self {
        // Reserved at once, so that no shorter copy of the secret is left behind by growing.
        let mut text = String::with_capacity(prefix.as_str().len() + 1 + BODY);
        text.push_str(prefix.as_str());
        text.push('_');
        text.extend(kid.characters());
        base62::encode_into(id.as_uuid().as_bytes(), ID, &mut text);
        base62::encode_into(secret.expose(), SECRET, &mut text);
        let tag = sign(text.as_bytes());
        base62::encode_into(&tag.0, TAG, &mut text);
        let crc = crc32fast::hash(text.as_bytes());
        base62::encode_into(&crc.to_be_bytes(), CRC, &mut text);
        let issued = Self { text: SecretString::from(text.as_str()), tag };
        text.zeroize();
        issued
    }

    /// A secret that was issued before, as it is shown again to whoever repeats the request that made it.
    ///
    /// # Errors
    /// [`Malformed`] if it is no token string.
    pub fn again(text: SecretString) -> Result<Self, Malformed> {
        let tag = Presented::parse(text.expose_secret())?.tag;
        Ok(Self { text, tag })
    }

    /// The tag that is kept on record to tell this secret from the token's others.
    #[must_use]
    pub const fn tag(&self) -> Tag {
        self.tag
    }

    /// Enough of the string to recognise it by: the prefix and the last four characters.
    #[must_use]
    pub fn obfuscated(&self) -> String {
        let text = self.text.expose_secret();
        let (prefix, body) = text.rsplit_once('_').unwrap_or(("", text));
        let (_, end) = split_end(body, 4).unwrap_or(("", ""));
        format!("{prefix}_...{end}")
    }

    /// The string itself, for the answer to whoever may see it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }
}

impl fmt::Debug for IssuedSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("IssuedSecret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sign(signed: &[u8]) -> Tag {
        Tag(u64::from(crc32fast::hash(signed)).to_be_bytes())
    }

    fn issue(prefix: &str) -> String {
        let prefix = TokenPrefix::parse(prefix.to_owned()).unwrap();
        let secret = Secret::generate().unwrap();
        IssuedSecret::issue(&prefix, Kid::FIRST, TokenId::generate(), &secret, sign).expose().to_owned()
    }

    #[test]
    fn the_published_expression_matches_what_is_issued_and_nothing_longer() {
        let shape = regex::Regex::new(SHAPE).unwrap();
        for prefix in ["tk", "sk_live", "a", "abcdefgh"] {
            let text = issue(prefix);
            assert_eq!(shape.find(&format!("key={text};")).unwrap().as_str(), text);
            assert!(text.len() <= 93);
            assert!(!shape.is_match(&format!("{text}0")));
        }
    }

    #[test]
    fn debug_tells_nothing_of_the_secret() {
        let text = issue("tk");
        let presented = Presented::parse(&text).unwrap();
        let told = format!("{presented:?} {:?} {:?}", presented.secret, presented.tag);
        assert!(!told.contains(&text[30..40]) && told.contains("redacted"));
    }

    proptest! {
        #[test]
        fn what_is_issued_comes_apart_again(bytes: [u8; 32], prefix in "[a-z]([a-z0-9]{0,3}(_[a-z0-9]{1,3})?)") {
            let prefix = TokenPrefix::parse(prefix).unwrap();
            let (secret, id) = (Secret(Zeroizing::new(bytes)), TokenId::generate());
            let issued = IssuedSecret::issue(&prefix, Kid::FIRST, id, &secret, sign);
            let presented = Presented::parse(issued.expose()).unwrap();
            prop_assert_eq!(presented.id, id);
            prop_assert_eq!(presented.kid, Kid::FIRST);
            prop_assert_eq!(presented.secret.expose(), &bytes);
            prop_assert_eq!(presented.tag, issued.tag());
            prop_assert_eq!(sign(presented.signed()), issued.tag());
            prop_assert_eq!(presented.text().names(), Some((Kid::FIRST, id)));
            prop_assert_eq!(presented.text().expose(), issued.expose());
        }

        #[test]
        fn one_changed_character_never_parses(position in 0_usize..87, replacement in "[0-9A-Za-z_]") {
            let text = issue("tk");
            let mut changed = text.clone();
            changed.replace_range(position..=position, &replacement);
            // CRC-32 catches every single changed byte.
            prop_assert!(changed == text || Presented::parse(&changed).is_err());
        }

        #[test]
        fn a_cut_token_never_parses(length in 0_usize..87) {
            prop_assert!(Presented::parse(&issue("tk")[..length]).is_err());
        }

        #[test]
        fn anything_is_parsed_without_a_panic(text in "\\PC{0,120}|[0-9A-Za-z_]{80,95}") {
            let names = PresentedText::new(&text).names();
            if let Ok(presented) = Presented::parse(&text) {
                prop_assert_eq!(names, Some((presented.kid, presented.id)));
            }
        }
    }
}
