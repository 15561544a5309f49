//! The examples without a browser: their streams, and what becomes of the work behind. A browser looks at them in
//! `crates/cli/tests/browser`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod datastar;
mod generation;
