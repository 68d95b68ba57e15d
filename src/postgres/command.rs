//! Runs the programs a cluster is made with, and says what a failed one printed.

use std::{
    env,
    io::{self, Write},
    process::{Command, ExitStatus, Stdio},
};

/// Variables of ours that PostgreSQL's programs need; the others, which may hold secrets, stay here.
const PASSED_ON: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "TZ"];

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The program could not be started, or its pipes broke.
    #[error("cannot run {program}")]
    Run {
        /// The program, as it was looked for.
        program: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The program ran and reported failure.
    #[error("{program} ended with {status}: {output}")]
    Failed {
        /// The program, as it was looked for.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it printed, standard output first.
        output: String,
    },
}

/// A command that inherits no variable but `PATH`, `LD_LIBRARY_PATH` and `TZ`, and speaks English.
pub(super) fn bare(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C");
    command.envs(PASSED_ON.into_iter().filter_map(|name| Some((name, env::var_os(name)?))));
    command
}

/// Runs `command` to its end with `input` on its standard input, and gives its standard output.
pub(super) fn run(command: &mut Command, input: &str) -> Result<String, CommandError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = match feed(command, input) {
        Ok(output) => output,
        Err(source) => return Err(CommandError::Run { program, source }),
    };
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Err(CommandError::Failed { program, status: output.status, output: text.trim().to_owned() })
}

fn feed(command: &mut Command, input: &str) -> io::Result<std::process::Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        // A program that ends without reading has its own reason, which its output tells better.
        let _unread = pipe.write_all(input.as_bytes());
    }
    child.wait_with_output()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_carries_what_the_program_printed() {
        let error = run(bare("sh").args(["-c", "echo one; echo two >&2; exit 3"]), "").unwrap_err();
        let CommandError::Failed { output, status, .. } = error else { panic!("{error}") };
        assert_eq!((output.as_str(), status.code()), ("one\ntwo", Some(3)));
    }

    #[test]
    fn the_environment_is_not_passed_on() {
        let names = run(&mut bare("env"), "").unwrap();
        assert!(env::vars().count() > 4, "the test needs an environment to hide");
        let allowed = |line: &str| line == "LC_ALL=C" || PASSED_ON.iter().any(|name| line.starts_with(name));
        assert!(names.lines().all(allowed), "{names}");
    }
}
