//! Whether a stream that says nothing is left alone.

use std::time::Duration;

use tokio::time::Instant;

use super::cure::Fault;
use super::report::Check;
use super::stream::{Seen, shown};

/// A pause before the end that nobody but a clock makes.
const SILENCE_MIN: Duration = Duration::from_millis(500);

/// `watched` is how long the stream was kept for this alone.
pub(super) fn judge(seen: &Seen, watched: Option<Duration>, is_hub: bool) -> Check {
    let name = "idle";
    let Some(end) = &seen.end else {
        return match watched {
            Some(_) => Check::ok(
                name,
                format!("the stream was not cut off; it was silent for {} at most", shown(silence_max(seen))),
            ),
            None => Check::unknown(name, "not watched: --idle 90s says whether a silent stream is cut off"),
        };
    };
    let (lived, silence) = (shown(end.at - seen.started), end.at - seen.last_at());
    let after = if silence < SILENCE_MIN {
        format!("after {lived}")
    } else {
        format!("after {lived}, {} of it without a byte", shown(silence))
    };
    match &end.cut {
        Some(cut) => Check::problem(name, format!("the stream was cut off {after}: {cut}"), Fault::CutOff),
        None if is_hub => {
            Check::problem(name, format!("the stream ended {after}, and a hub that runs ends none"), Fault::CutOff)
        }
        None => Check::unknown(name, format!("the stream ended {after}; nothing tells whether the server ended it")),
    }
}

fn silence_max(seen: &Seen) -> Duration {
    seen.silence_max.max(Instant::now() - seen.last_at())
}
