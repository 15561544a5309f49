//! The hub among the programs that a Mercure application has: Symfony's component in PHP publishes, and clients of npm, as
//! their authors publish them, subscribe.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../running/mod.rs"]
#[allow(dead_code, reason = "the tests of the commands use all of it")]
mod running;

mod clients;

mod subscribers;
mod symfony;
