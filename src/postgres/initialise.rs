//! Makes a new cluster, whole or not at all.

use std::{fs, path::Path, process::Command};

use super::{
    Binaries, CommandError, Error, SUPERUSER,
    command::{bare, run},
    home::Home,
};

/// Where a cluster is made, beside the place it is renamed to when it is whole.
const UNFINISHED: &str = "data.new";

/// Makes the cluster of `home` with `database` in it. `sync` asks for it to survive a power cut.
pub(super) fn initialise(home: &Home, binaries: &Binaries, database: &str, sync: bool) -> Result<(), Error> {
    let unfinished = home.private_directory(UNFINISHED)?;
    let data = home.data();
    let made = init(home, binaries, &unfinished)
        .and_then(|()| create_database(home, binaries, &unfinished, database))
        .and_then(|()| if sync { write_through(home, binaries, &unfinished) } else { Ok(()) });
    made.map_err(|source| Error::Initialise { data: data.clone(), source })?;
    fs::rename(&unfinished, &data).map_err(Error::file("create", &data))
}

/// The socket's directory lets in nobody but the account that owns the cluster, and root, who could both
/// read its files anyway: so those who reach the socket are trusted.
fn init(home: &Home, binaries: &Binaries, data: &Path) -> Result<(), CommandError> {
    let mut command = program(home, binaries, "initdb", data);
    command.args(["--username", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--no-locale"]);
    command.args(["--data-checksums", "--no-sync"]);
    run(&mut command, "").map(drop)
}

/// A server of one session, on standard input, needs no client program.
fn create_database(home: &Home, binaries: &Binaries, data: &Path, name: &str) -> Result<(), CommandError> {
    let mut command = program(home, binaries, "postgres", data);
    // `--single` has to come first, so the data directory is given by a variable.
    command.args(["--single", "-c", "exit_on_error=on", "-c", "fsync=off", "postgres"]);
    run(&mut command, &format!("CREATE DATABASE \"{name}\";\n")).map(drop)
}

/// One pass over the whole cluster takes less time than each step doing its own.
fn write_through(home: &Home, binaries: &Binaries, data: &Path) -> Result<(), CommandError> {
    run(program(home, binaries, "initdb", data).arg("--sync-only"), "").map(drop)
}

fn program(home: &Home, binaries: &Binaries, name: &str, data: &Path) -> Command {
    let mut command = bare(binaries.program(name));
    // The working directory of this process may be closed to the account.
    home.account().apply(&mut command).env("PGDATA", data).current_dir(data);
    command
}
