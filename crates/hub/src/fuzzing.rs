//! Doors for the fuzz targets of the repository. No API: what is here changes or goes without notice.

use axum::body::Body;
use http::Request;

use crate::shard::Head;

/// What a shard takes bytes from a connection for.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "nobody but the fuzz targets sees it, and they must look at each")]
pub enum Heard {
    /// The beginning of a request; with the body that its head tells of, it has so many bytes.
    More(Option<usize>),
    /// A request that the shard answers, and its bytes.
    Whole(Box<Request<Body>>, usize),
    /// Refused at once.
    TwoLengths,
    /// Left to hyper.
    Other,
}

/// Reads `bytes`, all that has come so far, as a shard does.
#[must_use]
pub fn hear(bytes: &[u8]) -> Heard {
    match Head::parse(bytes) {
        Head::More => Heard::More(None),
        Head::Body(length) => Heard::More(Some(length)),
        Head::Whole(request, length) => Heard::Whole(request, length),
        Head::TwoLengths => Heard::TwoLengths,
        Head::Other => Heard::Other,
    }
}

/// Whether a shard looks at `bytes` at all, of which the last `new` were not there before.
#[must_use]
pub fn is_worth_a_look(bytes: &[u8], new: usize) -> bool {
    Head::may_be_whole(bytes, new)
}
