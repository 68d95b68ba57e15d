//! What the process tells of itself: the log, the words of a panic, and nothing through a core dump.
//!
//! May be logged, as fields: `workspace`, `token` (its id), `generation`, `revision`, `principal`, `method`, `code`,
//! `reason`, `peer`, `elapsed`, `attempt`, addresses, paths, counts and errors of ours.
//!
//! Is never logged: a token string or any part of it, a secret, its hash or tag, a key or what is derived from one, a
//! database URL, request or response bodies, metadata of a request or of a token, a request id, parameters of SQL.
//!
//! Libraries do not know this list: tokio-postgres logs the parameters of each statement at debug. Below info only our
//! own events are kept, whatever the filter says.

use std::io::{self, IsTerminal as _};
use std::panic::{self, PanicHookInfo};

use clap::ValueEnum;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::text::Invalid;

/// What is logged: a level, or directives in the language of [`EnvFilter`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// Takes a filter that can be understood.
    ///
    /// # Errors
    /// [`Invalid::Malformed`].
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let wanted = Invalid::Malformed(
            "a level (error, warn, info, debug, trace, off) or directives like info,tokenkeep=debug",
        );
        // A lone word that is no level would be taken for the name of a module, and silence everything else.
        let lone_word = !text.contains([',', '=', '[', ':']);
        if text.is_empty() || lone_word && text.parse::<LevelFilter>().is_err() {
            return Err(wanted);
        }
        EnvFilter::try_new(text).map(|_| Self(text.to_owned())).map_err(|_| wanted)
    }
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// A line a person reads.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why the process cannot be made to tell what it should, or to keep what it must.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log is set up already.
    #[error("the log cannot be set up")]
    Log(#[from] TryInitError),
    /// The operating system refused.
    #[error("core dumps cannot be switched off")]
    CoreDumps(#[from] io::Error),
}

/// An error with all its causes, as one line for the log; each error of the chain says only its own part.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let errors = std::iter::successors(Some(error), |error| error.source());
    errors.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Sends the log of this process, and its panics, to the standard error stream.
///
/// # Errors
/// [`TelemetryError::Log`] at the second call.
pub fn start_log(filter: &LogFilter, format: LogFormat) -> Result<(), TelemetryError> {
    let json = match format {
        LogFormat::Auto => !io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    subscriber(filter, json, io::stderr).try_init()?;
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Keeps the memory of this process, which holds keys, out of core dumps and from debuggers of the same user.
///
/// # Errors
/// [`TelemetryError::CoreDumps`].
pub fn forbid_core_dumps() -> Result<(), TelemetryError> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).map_err(io::Error::from)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(io::Error::from)?;
    Ok(())
}

fn subscriber<Writer>(filter: &LogFilter, json: bool, writer: Writer) -> Box<dyn Subscriber + Send + Sync>
where
    Writer: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let kept = EnvFilter::new(&filter.0).and(filter_fn(may_be_told));
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    if json {
        Box::new(Registry::default().with(lines.json().flatten_event(true).with_filter(kept)))
    } else {
        let colour = io::stderr().is_terminal();
        Box::new(Registry::default().with(lines.with_ansi(colour).with_filter(kept)))
    }
}

/// Whether an event is ours or at least info.
fn may_be_told(metadata: &Metadata<'_>) -> bool {
    let ours = || metadata.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"));
    *metadata.level() <= Level::INFO || ours()
}

/// A panic's message may be made of anything, a request's values too: only one that was written down in the program is
/// repeated.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let message = panic.payload().downcast_ref::<&'static str>().unwrap_or(&"(withheld)");
    let thread = std::thread::current();
    tracing::error!(location, thread = thread.name().unwrap_or_default(), message, "panicked");
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str, json: bool, happens: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(&LogFilter::parse(filter).unwrap(), json, move || writer.clone());
        tracing::subscriber::with_default(subscriber, happens);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn libraries_say_nothing_below_info() {
        let log = logged("trace", false, || {
            tracing::debug!(target: "tokio_postgres::query", "executing statement with parameters");
            tracing::trace!(target: "tokenkeeper", "not ours");
            tracing::info!(target: "rustls", "a library's news");
            tracing::trace!(target: "tokenkeep::store", "our own detail");
        });
        assert!(!log.contains("parameters") && !log.contains("not ours"), "{log}");
        assert!(log.contains("a library's news") && log.contains("our own detail"), "{log}");
    }

    #[test]
    fn a_line_of_json_is_one_object_with_the_fields_at_its_top() {
        let log = logged("info", true, || tracing::info!(revision = 7, "applied"));
        let line: serde_json::Value = serde_json::from_str(log.trim()).unwrap();
        assert_eq!(line["revision"], 7);
        assert_eq!(line["message"], "applied");
    }

    #[test]
    fn a_panic_tells_where_but_not_what_it_was_made_of() {
        let log = logged("info", false, || {
            let before = panic::take_hook();
            panic::set_hook(Box::new(log_panic));
            let secret = "tk_01secret";
            let formatted = panic::catch_unwind(|| panic!("cannot parse {secret}"));
            let literal = panic::catch_unwind(|| panic!("a fixed text"));
            panic::set_hook(before);
            assert!(formatted.is_err() && literal.is_err());
        });
        assert!(!log.contains("tk_01secret"), "{log}");
        assert!(
            log.contains("telemetry.rs") && log.contains("(withheld)") && log.contains("a fixed text"),
            "{log}"
        );
    }

    #[test]
    fn a_filter_must_be_one() {
        for text in ["info", "OFF", "warn,tokenkeep::store=debug", "tokenkeep=trace"] {
            assert!(LogFilter::parse(text).is_ok(), "{text}");
        }
        for text in ["", "loud", "tokenkeep=loud", "info,=,"] {
            assert!(LogFilter::parse(text).is_err(), "{text}");
        }
    }
}
