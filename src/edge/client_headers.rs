//! What a client sends.

use std::fmt;

/// The headers of a client's request, as often as they occur, by their names in lower case. They hold its credential, so
/// only the names are printed.
#[derive(Default)]
pub struct ClientHeaders(Vec<(String, String)>);

impl ClientHeaders {
    /// The names, in lower case.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The values of one header, whose name is in lower case.
    pub fn values(&self, wanted: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }
}

impl FromIterator<(String, String)> for ClientHeaders {
    fn from_iter<Pairs: IntoIterator<Item = (String, String)>>(pairs: Pairs) -> Self {
        let lower = |(mut name, value): (String, String)| {
            name.make_ascii_lowercase();
            (name, value)
        };
        Self(pairs.into_iter().map(lower).collect())
    }
}

impl fmt::Debug for ClientHeaders {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.names()).finish()
    }
}
