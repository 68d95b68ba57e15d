//! Looks for secrets in text: whole, in parts, and in the encodings in which they could slip out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::bytes::Regex;
use tokenkeep::token::Presented;
use uuid::Uuid;

/// How many characters of a secret in a row count as a leak.
const WINDOW: usize = 12;

/// The characters after a token's last underscore before its secret, and those of its secret.
const BEFORE: usize = 24;
const SECRET: usize = 43;

/// What to look for, each with what it is a part of.
#[derive(Default)]
pub struct Scanner {
    needles: BTreeMap<Vec<u8>, String>,
}

impl Scanner {
    /// Looks for a token's secret from now on.
    pub fn add_token(&mut self, name: &str, token: &str) {
        let body = token.rsplit_once('_').unwrap().1;
        for part in body.as_bytes()[BEFORE..BEFORE + SECRET].windows(WINDOW) {
            self.add(part, name, "a part");
        }
        self.add(token.as_bytes(), name, "the whole");
        self.add_bytes(name, Presented::parse(token).unwrap().secret.expose());
    }

    /// Looks for the key of a file of 64 hexadecimal digits.
    pub fn add_key(&mut self, name: &str, text: &str) {
        let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..text.trim().len()).step_by(2).map(digit).collect();
        self.add_bytes(name, &bytes);
    }

    /// Looks for a UUID as it is written, and for its bytes.
    pub fn add_id(&mut self, name: &str, id: Uuid) {
        self.add(id.to_string().as_bytes(), name, "the whole");
        self.add_bytes(name, id.as_bytes());
    }

    /// Looks for bytes, raw and encoded.
    fn add_bytes(&mut self, name: &str, bytes: &[u8]) {
        let hexadecimal = bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
        let debug = format!("{bytes:?}");
        self.add(bytes, name, "the raw bytes");
        self.add(hexadecimal.as_bytes(), name, "hexadecimal");
        self.add(hexadecimal.to_uppercase().as_bytes(), name, "hexadecimal");
        self.add(STANDARD_NO_PAD.encode(bytes).as_bytes(), name, "base64");
        self.add(URL_SAFE_NO_PAD.encode(bytes).as_bytes(), name, "base64url");
        self.add(debug.trim_matches(['[', ']']).as_bytes(), name, "a list of numbers");
    }

    fn add(&mut self, needle: &[u8], name: &str, form: &str) {
        self.needles.insert(needle.to_owned(), format!("{form} of {name}"));
    }

    /// What was found, by name and never by value.
    pub fn scan(&self, text: &[u8]) -> Vec<&str> {
        let literals: Vec<String> = self.needles.keys().map(|needle| literal(needle)).collect();
        let any = Regex::new(&format!("(?s-u){}", literals.join("|"))).unwrap();
        let found = any.find_iter(text).map(|found| self.needles[found.as_bytes()].as_str());
        let mut found: Vec<&str> = found.collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn literal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "\\x{byte:02x}").unwrap();
        text
    })
}
