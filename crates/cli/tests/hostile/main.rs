//! Peers that mean harm, against the real binary: while each attack lasts the hub serves others, and after it its memory
//! is back.
#![allow(clippy::unwrap_used, clippy::too_many_lines, reason = "a test fails by panicking, and a table may be long")]

#[path = "../running/mod.rs"]
#[allow(dead_code, reason = "the tests of the commands use all of it")]
mod running;

#[path = "../../../hub/tests/http/http2/frames.rs"]
#[allow(dead_code, reason = "the hub's own tests use the rest")]
mod frames;

mod target;

mod peer;

mod heads;
mod smuggling;

mod bodies;
mod requests;
mod tokens;

mod connections;
mod files;
mod subscribers;

mod http2;
mod tls;
