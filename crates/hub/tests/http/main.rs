//! The hub over real sockets, as its users meet it.
#![allow(clippy::unwrap_used, clippy::too_many_lines, reason = "a test fails by panicking, and a table may be long")]

mod running;

mod tokens;

mod access;
mod application;
mod authorization;
mod clock;
mod compression;
mod embedded;
mod expiry;
mod hostile;
mod http2;
mod limits;
mod mercure;
mod metrics;
mod neighbours;
mod publish;
mod replay;
mod request_ids;
mod requests;
mod reserved;
mod reused;
mod seam;
mod sessions;
mod shards;
mod slow;
mod stop;
mod subscribe;
mod subscriptions;
mod tls;
mod trouble;
