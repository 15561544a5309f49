//! The examples, as somebody runs them. Cargo builds them for `cargo test`.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod program;

mod browser;

mod chat;

mod firehose;

mod contract_service;
