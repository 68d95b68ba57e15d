//! How a client presents a token over HTTP, and how it is found there.

use http::HeaderName;
use secrecy::SecretString;

/// How a client presents a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presentation {
    /// The header.
    pub header: HeaderName,
    /// What stands before the token and a space; empty if nothing does.
    pub scheme: String,
    /// Whether the case of the scheme matters.
    pub scheme_case_sensitive: bool,
}

/// What a request presents.
#[derive(Debug)]
pub enum Presented {
    /// No credential of this kind: no such header, an empty one, or another scheme.
    Missing,
    /// The beginning of one, and then not exactly one token.
    Invalid,
    /// What may be a token.
    Token(SecretString),
}

impl Presentation {
    /// What a request presents whose header [`Presentation::header`] has these values, one for each time that it occurs.
    /// Of two credentials neither is taken: whoever looks at the request next could take the other.
    #[must_use]
    pub fn presented<'value>(&self, values: impl IntoIterator<Item = &'value [u8]>) -> Presented {
        let mut values = values.into_iter();
        match (values.next(), values.next()) {
            (None, _) => Presented::Missing,
            (Some(value), None) => self.presented_in(value),
            (Some(_), Some(_)) => Presented::Invalid,
        }
    }

    fn presented_in(&self, value: &[u8]) -> Presented {
        let Ok(value) = str::from_utf8(value) else { return Presented::Invalid };
        let mut parts = value.split_ascii_whitespace().peekable();
        if parts.peek().is_none() {
            return Presented::Missing;
        }
        if !self.scheme.is_empty() && !parts.next().is_some_and(|scheme| self.is_scheme(scheme)) {
            return Presented::Missing;
        }
        match (parts.next(), parts.next()) {
            (Some(token), None) => Presented::Token(token.into()),
            (None | Some(_), _) => Presented::Invalid,
        }
    }

    fn is_scheme(&self, scheme: &str) -> bool {
        if self.scheme_case_sensitive {
            scheme == self.scheme
        } else {
            scheme.eq_ignore_ascii_case(&self.scheme)
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn presentation(scheme: &str, scheme_case_sensitive: bool) -> Presentation {
        let scheme = scheme.to_owned();
        Presentation { header: http::header::AUTHORIZATION, scheme, scheme_case_sensitive }
    }

    fn told(presentation: &Presentation, values: &[&str]) -> String {
        match presentation.presented(values.iter().map(|value| value.as_bytes())) {
            Presented::Missing => "missing".to_owned(),
            Presented::Invalid => "invalid".to_owned(),
            Presented::Token(token) => format!("token {}", token.expose_secret()),
        }
    }

    #[test]
    fn no_header_an_empty_one_and_another_scheme_present_nothing() {
        let token = presentation("Token", true);
        for values in [&[][..], &[""], &["  \t"], &["Bearer abc"], &["Bearer"], &["abc"], &["Tokenabc"]] {
            assert_eq!(told(&token, values), "missing", "{values:?}");
        }
    }

    #[test]
    fn a_scheme_with_not_exactly_one_token_is_invalid() {
        let token = presentation("Token", true);
        for value in ["Token", "Token ", "Token a b", "Token a, Token b"] {
            assert_eq!(told(&token, &[value]), "invalid", "{value:?}");
        }
        assert_eq!(told(&token, &["Token abc"]), "token abc");
        assert_eq!(told(&token, &[" Token \t abc "]), "token abc");
    }

    #[test]
    fn the_case_of_the_scheme_matters_where_the_profile_says_so() {
        assert_eq!(told(&presentation("Token", true), &["token abc"]), "missing");
        for value in ["Bearer abc", "bearer abc", "BEARER abc"] {
            assert_eq!(told(&presentation("bearer", false), &[value]), "token abc");
        }
    }

    #[test]
    fn without_a_scheme_the_value_is_the_token() {
        let raw = presentation("", false);
        assert_eq!(told(&raw, &["abc"]), "token abc");
        assert_eq!(told(&raw, &[""]), "missing");
        assert_eq!(told(&raw, &["Bearer abc"]), "invalid");
    }

    #[test]
    fn of_two_headers_neither_is_taken() {
        assert_eq!(told(&presentation("Bearer", false), &["Bearer abc", "Bearer def"]), "invalid");
        assert_eq!(told(&presentation("", false), &["abc", "abc"]), "invalid");
    }

    #[test]
    fn what_is_not_text_is_invalid() {
        let presented = presentation("Bearer", false).presented([&b"Bearer \xff"[..]]);
        assert!(matches!(presented, Presented::Invalid));
    }
}
