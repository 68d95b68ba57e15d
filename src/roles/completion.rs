//! `tokenkeep completion`: a script by which a shell completes every command and flag there is.

use std::io::{self, Write as _};

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use super::RoleError;
use crate::settings::CommandLine;
use crate::settings::client::{self, Completion};

pub(super) fn run(arguments: &Completion) -> Result<(), RoleError> {
    let shell = match arguments.shell {
        client::Shell::Bash => Shell::Bash,
        client::Shell::Zsh => Shell::Zsh,
        client::Shell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut CommandLine::command(), "tokenkeep", &mut script);
    io::stdout().write_all(&script).map_err(RoleError::Output)
}
