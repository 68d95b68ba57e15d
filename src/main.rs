//! The tokenkeep program.

fn main() {}
