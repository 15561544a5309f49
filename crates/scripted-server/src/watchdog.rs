//! The end of a test that hangs.

use std::io::Write;
use std::sync::mpsc;
use std::time::Duration;

/// Ends the process if it is not dropped in time. Tokio's own time-outs can't do that for a test whose clock is
/// paused: they follow that clock.
///
/// ```
/// use std::time::Duration;
///
/// use fanfare_scripted_server::Watchdog;
///
/// let _watchdog = Watchdog::start(Duration::from_secs(120));
/// ```
#[derive(Debug)]
#[must_use = "dropping it calls it off"]
pub struct Watchdog {
    _done: mpsc::Sender<()>,
}

impl Watchdog {
    /// Starts to count, by the machine's clock. Says which test it was: the name of this thread.
    pub fn start(limit: Duration) -> Self {
        let (sender, done) = mpsc::channel::<()>();
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        std::thread::spawn(move || {
            if done.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                // Not `eprintln!`, which the test harness would keep for itself.
                let _ = writeln!(std::io::stderr(), "{test} hangs");
                std::process::abort();
            }
        });
        Self { _done: sender }
    }
}
