//! The hub over real sockets, as its users meet it.
#![allow(clippy::unwrap_used, clippy::too_many_lines, reason = "a test fails by panicking, and a table may be long")]

mod running;

mod access;
mod embedded;
mod hostile;
mod publish;
mod replay;
mod requests;
mod seam;
mod shards;
mod stop;
mod subscribe;
