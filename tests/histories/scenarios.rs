//! For each defect a scenario that leads straight to it. A program without the defect keeps every promise in it.

mod caches;
mod database;
mod fleet;
mod freshness;
mod leases;
mod life;
mod log;
mod principals;
mod scene;
mod streams;

use std::pin::Pin;
use std::time::Duration;

use crate::check::Promise;
pub use scene::Scene;

type Told<'scene> = Pin<Box<dyn Future<Output = ()> + Send + 'scene>>;

/// A way to a defect.
pub struct Scenario {
    /// The defect's name.
    pub defect: &'static str,
    /// What it means for whoever relies on us.
    pub harm: &'static str,
    /// The promises of which at least one is seen broken.
    pub breaks: &'static [Promise],
    pub lease: Duration,
    pub server_flags: &'static [(&'static str, &'static str)],
    /// Whether nothing is made to fail in it.
    pub calm: bool,
    /// Whether a standby must be there.
    pub promotes: bool,
    pub tell: for<'scene> fn(&'scene mut Scene) -> Told<'scene>,
}

impl Scenario {
    /// One with the usual settings.
    const fn new(
        defect: &'static str,
        harm: &'static str,
        breaks: &'static [Promise],
        tell: for<'scene> fn(&'scene mut Scene) -> Told<'scene>,
    ) -> Self {
        let lease = Duration::from_secs(1);
        Self { defect, harm, breaks, lease, server_flags: &[], calm: false, promotes: false, tell }
    }

    const fn with_lease(mut self, seconds: u64) -> Self {
        self.lease = Duration::from_secs(seconds);
        self
    }

    const fn with_flags(mut self, flags: &'static [(&'static str, &'static str)]) -> Self {
        self.server_flags = flags;
        self
    }

    const fn calm(mut self) -> Self {
        self.calm = true;
        self
    }

    const fn promoting(mut self) -> Self {
        self.promotes = true;
        self
    }
}

/// Every scenario.
pub fn all() -> Vec<Scenario> {
    let rooms = [
        caches::scenarios(),
        freshness::scenarios(),
        leases::scenarios(),
        fleet::scenarios(),
        streams::scenarios(),
        log::scenarios(),
        principals::scenarios(),
        life::scenarios(),
    ];
    rooms.into_iter().flatten().collect()
}
