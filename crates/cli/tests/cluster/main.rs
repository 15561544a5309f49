//! Several hubs of the real binary on real NATS servers, and what goes wrong with either: nothing acknowledged is lost,
//! nothing comes twice, and all subscribers see one order, whichever hubs they hop between.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "figures, and what the servers said before a test failed"
)]

#[path = "../running/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod running;

#[path = "../../../nats/tests/servers/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod servers;

/// Hubs that are started, killed and started again.
mod hubs;

/// A connection that can be cut.
mod proxy;

/// Who publishes, and what was acknowledged.
mod publishers;

/// Who subscribes, and what came.
mod subscribers;

/// All of it at once, and the comparison at the end.
mod load;

/// What goes wrong.
mod failures;

/// Operators, accounts and users of NATS.
mod accounts;

/// Certificates of servers and of hubs.
mod certificates;

/// Who is let in, who is not, and what is said.
mod access;

/// Who is subscribed, across hubs.
mod presence;

/// The configurations of `docs/cluster.md` at work.
mod balancers;

use std::time::Duration;

use running::PATIENCE;

async fn until(what: &str, is: impl AsyncFn() -> bool) {
    let waited = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("waited too long until {what}"));
}
