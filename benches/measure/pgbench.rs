//! The reference that the database itself sets: `pgbench -S -M prepared`, one row by its primary key, in a table of as many
//! rows as are wanted.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::database::{FIRST, PrivateDatabase};
use super::page::Outcome;

/// `pgbench` counts its rows in units of so many.
const SCALE: f64 = 100_000.0;

/// A database of its own with a `pgbench_accounts` of so many rows.
pub(crate) struct Pgbench {
    program: PathBuf,
    url: String,
    rows: u32,
}

impl Pgbench {
    /// Makes and fills it, in the columns of `pgbench -i`, and leaves it vacuumed.
    pub(crate) async fn prepare(database: &PrivateDatabase, rows: usize) -> Outcome<Self> {
        let (name, rows) = (format!("pgbench_{rows}"), u32::try_from(rows)?);
        database.connect(FIRST).await?.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        let client = database.connect(&name).await?;
        client
            .batch_execute(&format!(
                "CREATE TABLE pgbench_branches (bid integer PRIMARY KEY, bbalance integer, filler character(88));
                 INSERT INTO pgbench_branches VALUES (1, 0);
                 CREATE TABLE pgbench_accounts (aid integer NOT NULL, bid integer, abalance integer, filler character(84));
                 INSERT INTO pgbench_accounts SELECT aid, 1, 0, '' FROM generate_series(1, {rows}) AS aid;
                 ALTER TABLE pgbench_accounts ADD PRIMARY KEY (aid);"
            ))
            .await?;
        client.batch_execute("VACUUM ANALYZE").await?;
        Ok(Self { program: database.program("pgbench"), url: database.url(&name), rows })
    }

    /// How many a second so many connections read, each one after the other, for so long.
    pub(crate) async fn reads_a_second(&self, connections: usize, time: Duration) -> Outcome<f64> {
        let threads = connections.min(std::thread::available_parallelism()?.get());
        let mut command = Command::new(&self.program);
        command.args(["-S", "-M", "prepared", "-n"]);
        // It reads an account below 100,000 times this.
        command.arg(format!("--define=scale={}", f64::from(self.rows) / SCALE));
        command.arg(format!("--client={connections}")).arg(format!("--jobs={threads}"));
        command.arg(format!("--time={}", time.as_secs().max(1))).arg(&self.url);
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let text = String::from_utf8(output.stdout)?;
        let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next());
        let told = || String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(rate.ok_or_else(told)?.parse()?)
    }
}
