//! The tokenkeep program: reads the settings, runs the role, and tells what went wrong, once.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use tokenkeep::settings::{CommandLine, SettingsError};
use tokenkeep::{roles, telemetry};

/// 0: done, or help was asked for. 1: it failed. 2: it was asked the wrong way.
fn main() -> ExitCode {
    match CommandLine::of_this_process() {
        Ok(command_line) => roles::run(command_line).unwrap_or_else(|error| {
            report(&error);
            error.exit_code()
        }),
        Err(SettingsError::Usage(usage)) => {
            // With the output closed there is nobody to tell.
            let _ = usage.print();
            ExitCode::from(if usage.use_stderr() { 2 } else { 0 })
        }
        Err(error) => {
            report(&error);
            ExitCode::from(2)
        }
    }
}

fn report(error: &dyn Error) {
    // As clap tells of wrong usage; the colour is for terminals.
    let style = anstyle::AnsiColor::Red.on_default().bold();
    let _ = writeln!(anstream::stderr(), "{style}error:{style:#} {}", telemetry::chain(error));
}
