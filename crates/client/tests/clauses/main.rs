//! The clauses of the standard, and every option beside it, against a server that sends exactly the bytes it is told.
//!
//! Nothing here waits for a clock: the tests' own clock is paused and jumps when there is nothing else to do, and
//! what must come first is waited for itself.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod server;

mod request;

mod redirect;

mod answer;

mod callback;

mod option;

mod refusal;

mod stop;

mod coding;

mod http2;

mod tls;

mod blocking;

mod secret;

mod task;
