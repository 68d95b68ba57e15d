//! The tokenkeep program: reads the settings, runs the role, and tells what went wrong, once.

use std::error::Error;
use std::io::{self, Write as _};
use std::iter::successors;
use std::process::ExitCode;

use tokenkeep::roles;
use tokenkeep::settings::{CommandLine, SettingsError};

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

/// Each error of the chain says its own part.
fn report(error: &(dyn Error + 'static)) {
    let chain: Vec<String> =
        successors(Some(error), |error| (*error).source()).map(ToString::to_string).collect();
    let _ = writeln!(io::stderr(), "error: {}", chain.join(": "));
}
