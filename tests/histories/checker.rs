//! The checker judged in turn, by histories made by hand: one that keeps every promise, and one that breaks each.

#![expect(
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    dead_code,
    unreachable_pub,
    reason = "a test that fails should say where; the modules are those of the program beside this one"
)]

mod check;
mod history;
mod moment;

mod cut {
    pub mod whole;
}

mod tales {
    mod accounts;
    mod aftermath;
    mod answers;
    mod halves;
    mod life;
    mod principals;
    mod streams;
    mod tale;
}
