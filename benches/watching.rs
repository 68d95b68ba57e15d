//! What 5,000 watchers cost and how soon each is told, also while 50 of them stall; and how long the way is from a commit to a
//! watcher, beside a bare LISTEN/NOTIFY hop.
//!
//! `cargo bench --bench watching -- --write` writes the figures to `docs/performance/watching.md`.

use tokenkeep::server::limits::raise_descriptor_limit;

use self::fanout::fan::fan;
use self::fanout::ways::ways;
use self::measure::database::PrivateDatabase;
use self::measure::figures;
use self::measure::page::{self, Outcome};

mod fanout {
    pub(crate) mod crowd;
    pub(crate) mod fan;
    pub(crate) mod heard;
    pub(crate) mod hop;
    pub(crate) mod member;
    pub(crate) mod pace;
    pub(crate) mod servers;
    pub(crate) mod table;
    pub(crate) mod ways;
}

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod load {
    pub(crate) mod fields;
    pub(crate) mod headers;
    pub(crate) mod http2;
    pub(crate) mod target;
}

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod measure {
    pub(crate) mod arguments;
    pub(crate) mod database;
    pub(crate) mod figures;
    pub(crate) mod minted;
    pub(crate) mod page;
    pub(crate) mod process;
    pub(crate) mod rounds;
    pub(crate) mod served;
}

mod spread {
    pub(crate) mod latencies;
}

/// What PostgreSQL must note so that the time of a commit can be asked for.
const SETTINGS: [(&str, &str); 2] = [("track_commit_timestamp", "on"), ("max_connections", "200")];

fn main() -> Outcome<()> {
    raise_descriptor_limit()?;
    let database = PrivateDatabase::start_with(&SETTINGS)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let fan = fan(&database).await?;
        let ways = ways(&database).await?;
        figures::keep("watching", &[fan.figures(), ways.figures()].concat())?;
        let provenance = page::provenance(&database.version().await?)?;
        page::publish("watching.md", &format!("{provenance}\n{}\n{}", fan.told(), ways.told()))
    })
}
