//! The house rules that no compiler checks: who may import whom, what may be said where, and how long a file may be.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::fs;
use std::path::{Path, PathBuf};

/// Each room, by the beginning of its files' paths, and the rooms of ours that it may name. The first match counts.
const ROOMS: &[(&str, &[&str])] = &[
    ("text", &[]),
    ("token", VOCABULARY),
    ("workspace", VOCABULARY),
    ("principal", VOCABULARY),
    ("introspection", VOCABULARY),
    ("revocation", &["introspection", "profile", "text", "token", "workspace"]),
    ("edge", &["text", "token", "workspace", "introspection", "profile"]),
    ("audit", &["request", "text", "token", "workspace"]),
    ("request", &["text", "token"]),
    ("peer", &[]),
    ("clock", &[]),
    ("uses", &["clock", "token"]),
    ("lease", &["clock", "revocation", "token"]),
    (
        "cache",
        &[
            "text",
            "clock",
            "introspection",
            "lease",
            "profile",
            "proof",
            "revocation",
            "token",
            "workspace",
            "cache",
        ],
    ),
    ("keyring", &["private_file", "request", "revocation", "token", "workspace"]),
    ("hash", &["keyring", "token"]),
    ("proof", &["token"]),
    ("postgres", &[]),
    ("nearest", &[]),
    ("profile", &["nearest", "text", "token", "workspace"]),
    ("proto", &[]),
    ("private_file", &[]),
    ("crossing", &[]),
    ("telemetry", &["text"]),
    ("metrics", &[]),
    ("operations", &["metrics", "server", "telemetry"]),
    (
        "store",
        &[
            "audit",
            "text",
            "token",
            "workspace",
            "profile",
            "principal",
            "request",
            "revocation",
            "hash",
            "uses",
        ],
    ),
    ("feed", &["cache", "clock", "store", "revocation", "metrics", "telemetry", "token"]),
    (
        "fleet",
        &["cache", "clock", "feed", "lease", "metrics", "revocation", "store", "telemetry", "token", "fleet"],
    ),
    (
        "service",
        &[
            "audit",
            "request",
            "uses",
            "text",
            "token",
            "workspace",
            "profile",
            "principal",
            "revocation",
            "hash",
            "keyring",
            "proof",
            "store",
            "feed",
            "metrics",
            "cache",
            "clock",
            "fleet",
            "introspection",
            "lease",
        ],
    ),
    (
        "sidecar",
        &[
            "uses",
            "edge",
            "profile",
            "text",
            "token",
            "workspace",
            "revocation",
            "introspection",
            "clock",
            "lease",
            "cache",
            "proof",
            "keyring",
            "proto",
            "rpc",
            "server",
            "crossing",
            "metrics",
            "operations",
            "telemetry",
            "service",
            "sidecar",
            "upstream",
        ],
    ),
    // Whoever asks a server, and how it is asked.
    ("upstream", &["telemetry", "token"]),
    // The commands for people are clients: they know the wire and the settings, and nothing of what serves.
    ("cli", &["private_file", "proto", "rpc", "settings", "telemetry", "upstream"]),
    (
        "rpc",
        &[
            "audit",
            "peer",
            "request",
            "uses",
            "edge",
            "principal",
            "profile",
            "text",
            "token",
            "workspace",
            "revocation",
            "introspection",
            "clock",
            "lease",
            "service",
            "proto",
            "crossing",
            "metrics",
            "telemetry",
            "rpc",
            "keyring",
        ],
    ),
    ("server", &["peer", "telemetry", "crossing"]),
    ("settings", &["text", "token", "hash", "nearest", "telemetry", "settings"]),
];

/// What everybody speaks of.
const VOCABULARY: &[&str] = &["text", "token", "workspace", "profile"];

/// Words that may be said only in files whose path begins so.
const WORDS: &[(&str, &[&str])] = &[
    ("diesel", &["store"]),
    ("tokio_postgres", &["store"]),
    (
        "tonic",
        &[
            "rpc",
            "proto",
            "server",
            "compose",
            "metrics/requests",
            "roles/healthcheck",
            "sidecar",
            "upstream",
            "cli",
        ],
    ),
    ("prost", &["rpc", "proto", "compose", "metrics/requests", "sidecar", "cli", "settings/client/moment"]),
    ("hyper", &["server", "compose/routes"]),
    ("axum", &["server/http1", "operations", "rpc/forward_auth"]),
    ("argon2::", &["hash"]),
    ("clap", &["settings", "telemetry", "main", "roles"]),
    ("prometheus", &["metrics"]),
    // What somebody says was so long ago is so by the clock of where they sit.
    // And the key that secrets are sealed with is of the day it is there.
    ("SystemTime::now", &["keyring/replay", "metrics", "settings/client/moment"]),
    ("unsafe", &[]),
    ("std::env::var", &["settings", "defect"]),
    ("println!", &[]),
    // What a product wants is data.
    ("coolset", &["profile/loading"]),
    ("qualytics", &["profile/loading"]),
    ("select-star", &["profile/loading"]),
    ("strapi", &["profile/loading"]),
    ("undb", &["profile/loading"]),
];

struct Source {
    /// The path below `src`, without `.rs`.
    name: String,
    path: PathBuf,
    /// What is not a test: everything before the module of tests, if that is in this file.
    code: String,
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    collect(Path::new("src"), &mut found);
    assert!(found.len() > 40, "the sources were not found");
    found
}

fn collect(directory: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
            let name = path.strip_prefix("src").unwrap().with_extension("").display().to_string();
            found.push(Source { name, path, code });
        }
    }
}

impl Source {
    fn is_of(&self, room: &str) -> bool {
        self.name == room || self.name.starts_with(&format!("{room}/"))
    }

    /// Whether the file is only tests.
    fn is_test(&self) -> bool {
        self.name.ends_with("/tests") || self.name.contains("/tests/")
    }

    /// The lines of code, without comments.
    fn lines(&self) -> impl Iterator<Item = &str> {
        self.code.lines().filter(|line| !line.trim_start().starts_with("//"))
    }

    /// The rooms of ours that it names.
    fn imports(&self) -> Vec<String> {
        let ends = |character: char| !(character.is_ascii_alphanumeric() || character == '_');
        let code: Vec<&str> = self.lines().collect();
        let named = code.join("\n");
        let named = named.split("crate::").skip(1);
        named
            .map(|rest| rest.split(ends).next().unwrap().to_owned())
            .filter(|room| !room.is_empty())
            .collect()
    }
}

#[test]
fn nothing_is_imported_against_the_direction() {
    for source in sources().iter().filter(|source| !source.is_test()) {
        let Some((room, allowed)) = ROOMS.iter().find(|(room, _)| source.is_of(room)) else { continue };
        for import in source.imports() {
            // Anybody may be made to have a known defect.
            let fine = import == *room || import == "defect" || allowed.contains(&import.as_str());
            assert!(fine, "{} names crate::{import}, which `{room}` may not", source.path.display());
        }
    }
}

#[test]
fn words_stay_in_their_rooms() {
    for source in sources().iter().filter(|source| !source.is_test()) {
        for (word, rooms) in WORDS {
            if rooms.iter().any(|room| source.is_of(room)) {
                continue;
            }
            let said = source.lines().find(|line| line.contains(word));
            assert!(said.is_none(), "{} says {word}: {}", source.path.display(), said.unwrap());
        }
    }
}

#[test]
fn every_file_says_first_what_it_is_for_and_stays_short() {
    for source in sources() {
        assert!(source.code.starts_with("//! "), "{} begins without a purpose", source.path.display());
        let lines = source.code.lines().count();
        assert!(lines <= 300, "{} has {lines} lines", source.path.display());
    }
}

#[test]
fn every_migration_can_be_undone() {
    for entry in fs::read_dir("migrations").unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            for file in ["up.sql", "down.sql"] {
                assert!(path.join(file).is_file(), "{} has no {file}", path.display());
            }
        }
    }
}

/// The documents name files and settings; a name that leads nowhere is a bug.
#[test]
fn the_documents_name_only_files_that_are_there() {
    for document in ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        let text = fs::read_to_string(document).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let local = !link.contains("://") && !link.starts_with('#');
            assert!(!local || Path::new(link).exists(), "{document} links to {link}");
        }
        for path in text
            .split('`')
            .filter(|word| ["src/", "tests/", "docs/", "benches/"].iter().any(|d| word.starts_with(d)))
        {
            assert!(Path::new(path).exists(), "{document} names {path}");
        }
    }
}

/// The comparison with others claims nothing of ours that no test shows.
#[test]
fn every_yes_of_the_comparison_is_a_test() {
    let page = fs::read_to_string("docs/comparison.md").unwrap();
    let links = page.split("](../").skip(1).map(|link| link.split_once(')').unwrap().0);
    let named: Vec<(&str, &str)> = links.map(|link| link.split_once(" \"").unwrap()).collect();
    assert!(named.len() > 30, "{named:?}");
    for (file, test) in named {
        let source = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let test = test.trim_end_matches('"');
        assert!(source.contains(&format!("fn {test}()")), "{file} has no test {test}");
    }
    let features = page.lines().filter(|line| line.starts_with("| ") && line.contains("](../")).count();
    let rows = page.lines().filter(|line| line.starts_with("| ")).count();
    assert_eq!(features + 1, rows, "a feature without a test");
}
