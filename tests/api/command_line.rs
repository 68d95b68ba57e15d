//! The commands for people, by the real program against a real server.

mod attempts;
mod failures;
mod ground;
mod lives;
mod page;
mod principals;
mod secrets;
mod terminal;
mod tokens;
mod watching;
mod workspaces;
