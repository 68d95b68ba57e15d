//! What is asked, made beforehand so that asking costs next to nothing, and what must be answered.

use prost::Message;
use tokenkeep::proto::v1;
use tokenkeep::token::Presented;

use super::fields::{Field, fields};
use super::mix::Random;
use crate::measure::page::Outcome;

pub(crate) const INTROSPECT: &str = "/tokenkeep.v1.TokenService/IntrospectToken";
pub(crate) const INTROSPECT_MANY: &str = "/tokenkeep.v1.TokenService/BatchIntrospectTokens";
pub(crate) const REVOKE: &str = "/tokenkeep.v1.TokenService/RevokeToken";

/// A call, ready to be sent any number of times.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) path: &'static str,
    /// The message with its prefix.
    pub(crate) message: Vec<u8>,
    pub(crate) expected: Expected,
}

/// What the answer must say, beside a status of `OK`.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    /// That the token of this id is active and may do what was asked.
    Active(String),
    /// That nothing is active.
    Inactive,
    /// The same for each of a batch, in order.
    AllActive(Vec<String>),
    /// Whatever it says, its message is so long.
    Length(usize),
    /// Nothing more.
    Anything,
}

/// A token as its client holds it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    id: String,
    secret: String,
}

impl Known {
    /// The id is in the secret.
    pub(crate) fn parse(secret: &str) -> Outcome<Self> {
        let id = Presented::parse(secret)?.id.to_string();
        Ok(Self { id, secret: secret.to_owned() })
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// What nobody issued: the same with another secret, and the right checksum.
    pub(crate) fn forged(&self, random: &mut Random) -> String {
        const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        const END_OF_SECRET: usize = 6 + 11;
        let mut body: Vec<u8> = self.secret.bytes().take(self.secret.len() - 6).collect();
        let end = body.len() + 6 - END_OF_SECRET;
        for digit in body.iter_mut().take(end).skip(end - 40) {
            *digit = DIGITS.get(random.below(DIGITS.len())).copied().unwrap_or(b'0');
        }
        let mut checksum = crc32fast::hash(&body);
        let mut digits = [0; 6];
        for digit in digits.iter_mut().rev() {
            *digit = DIGITS.get(checksum as usize % DIGITS.len()).copied().unwrap_or(b'0');
            checksum /= 62;
        }
        body.extend(digits);
        String::from_utf8_lossy(&body).into_owned()
    }
}

impl Call {
    pub(crate) fn new(path: &'static str, message: &impl Message, expected: Expected) -> Self {
        let mut framed = vec![0];
        framed.extend_from_slice(&u32::try_from(message.encoded_len()).unwrap_or(u32::MAX).to_be_bytes());
        framed.extend_from_slice(&message.encode_to_vec());
        Self { path, message: framed, expected }
    }

    /// Introspects a live token.
    pub(crate) fn introspect(known: &Known) -> Self {
        let request = v1::IntrospectTokenRequest { token: known.secret.clone(), ..Default::default() };
        Self::new(INTROSPECT, &request, Expected::Active(known.id.clone()))
    }

    /// Introspects what was never issued.
    pub(crate) fn introspect_forged(token: String) -> Self {
        let request = v1::IntrospectTokenRequest { token, ..Default::default() };
        Self::new(INTROSPECT, &request, Expected::Inactive)
    }

    /// Introspects live tokens in one call.
    pub(crate) fn introspect_all(known: &[Known]) -> Self {
        let ask =
            |known: &Known| v1::IntrospectTokenRequest { token: known.secret.clone(), ..Default::default() };
        let request = v1::BatchIntrospectTokensRequest { requests: known.iter().map(ask).collect() };
        let ids = known.iter().map(|known| known.id.clone()).collect();
        Self::new(INTROSPECT_MANY, &request, Expected::AllActive(ids))
    }

    /// Revokes a token.
    pub(crate) fn revoke(known: &Known) -> Self {
        let request = v1::RevokeTokenRequest { id: known.id.clone(), ..Default::default() };
        Self::new(REVOKE, &request, Expected::Anything)
    }
}

impl Expected {
    /// Whether an answer, with its prefix, says so.
    pub(crate) fn is_met_by(&self, answer: &[u8]) -> bool {
        let Some((_, message)) = answer.split_first_chunk::<5>() else { return false };
        match self {
            Self::Active(id) => is_active(message, id),
            Self::Inactive => !fields(message).any(|field| matches!(field, Some((1, Field::Number(_))))),
            Self::AllActive(ids) => all_active(message, ids),
            Self::Length(length) => message.len() == *length,
            Self::Anything => true,
        }
    }
}

/// The fields of `IntrospectTokenResponse` are read without being decoded as a whole, which would cost more than the call.
fn is_active(message: &[u8], id: &str) -> bool {
    const ACTIVE: u64 = 1;
    const DECISION: u64 = 2;
    const JTI: u64 = 10;
    const ALLOW: u64 = v1::Decision::Allow as u64;
    let (mut active, mut allowed, mut meant) = (false, false, false);
    for field in fields(message) {
        match field {
            Some((ACTIVE, Field::Number(1))) => active = true,
            Some((DECISION, Field::Number(ALLOW))) => allowed = true,
            Some((JTI, Field::Bytes(jti))) => meant = jti == id.as_bytes(),
            Some(_) => {}
            None => return false,
        }
    }
    active && allowed && meant
}

fn all_active(message: &[u8], ids: &[String]) -> bool {
    let mut ids = ids.iter();
    for outcome in fields(message) {
        let (Some((1, Field::Bytes(outcome))), Some(id)) = (outcome, ids.next()) else { return false };
        let mut answers = fields(outcome);
        if !matches!(answers.next(), Some(Some((1, Field::Bytes(answer)))) if is_active(answer, id)) {
            return false;
        }
    }
    ids.next().is_none()
}
