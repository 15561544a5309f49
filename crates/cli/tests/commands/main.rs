//! The commands as scripts use them: the real binary, real curl, exit codes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../running/mod.rs"]
mod running;

mod port;

mod compression;
mod config;
mod dashboard;
mod demo;
mod doctor;
mod durability;
mod limits;
mod log;
mod logging;
mod packaging;
mod publish;
mod serve;
mod subscribe;
mod systemd;
mod tls;
mod token;
mod tokens;

mod bench;
