//! Tells somebody at a terminal that something long is under way.

use std::future::Future;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// What takes less is not worth a word.
const LONG: Duration = Duration::from_millis(300);
const STEP: Duration = Duration::from_millis(100);
const TURNS: [char; 4] = ['|', '/', '-', '\\'];

/// Waits for something, and says on a terminal what for and for how long; nothing is left of it on the line.
pub(super) async fn during<Done>(what: &str, work: impl Future<Output = Done>) -> Done {
    if !io::stderr().is_terminal() {
        return work.await;
    }
    let begun = Instant::now();
    let mut steps = interval_at(begun + LONG, STEP);
    steps.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut turns = TURNS.iter().cycle();
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                say("\r\x1b[K");
                return done;
            }
            _ = steps.tick() => {
                let turn = turns.next().unwrap_or(&' ');
                say(&format!("\r\x1b[K{turn} {what} ({:.1} s)", begun.elapsed().as_secs_f64()));
            }
        }
    }
}

/// Whoever closed our error stream does not want to read this.
fn say(text: &str) {
    let mut stream = io::stderr();
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}
