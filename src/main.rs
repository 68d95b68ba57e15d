//! The `tokenkeep` command.

fn main() {}
