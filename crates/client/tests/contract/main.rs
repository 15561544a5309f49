//! The groups of the public contract tests for SSE clients, version 2.31, as tables of byte scripts: what
//! LaunchDarkly's harness asks of a client, each leaf under its name. `examples/contract_service` lets the harness
//! itself ask.
//!
//! Every row runs against both faces of the client, over a socket, in chunks that the client sees as they were cut.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod row;

mod parsing;

mod byte_order_mark;

mod comments;

mod line_ends;

mod http_behavior;

mod reconnection;
