//! Channels: what subscribers get, in which order, and how streams end.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod reading;

mod broadcast;

mod order;

mod stopping;

mod generations;

mod takeover;
