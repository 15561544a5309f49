//! Streams in a content coding (RFC 9110, section 8.4), compressed once for all who get the same.
//!
//! A compressor that remembers what went before makes a small event a third or a tenth of its size, one that does not makes it no
//! smaller. But it holds 300 KiB, and ten thousand subscribers with one each would be 3 GB and as many compressions of one
//! event. So it is shared: a [`Context`] compresses what the members of a group are sent, and whoever stands where it
//! stands takes its bytes. Two subscribers stand in the same place if they began in the same place, so there are places to
//! begin, at the first event of every ten seconds ([`CONTEXT_SPAN`](crate::limits::CONTEXT_SPAN)). Until the next of them whoever came in between, or got
//! something else than the group, is sent its events as they are, inside the coding.
//!
//! * [`Coding`]: which one, by what the client accepts;
//! * [`Encoder`]: the compressor, and the coding's framing around bytes that are not compressed;
//! * [`Contexts`]: those that are at work;
//! * [`CodedStream`]: one subscriber's stream.
//!
//! A private update is never compressed: lengths would tell of its bytes to whoever can have text of his own compressed
//! beside them (BREACH).

mod coding;
mod encoder;

mod context;
mod contexts;
mod stream;

#[cfg(test)]
mod tests;

pub(crate) use coding::Coding;
pub(crate) use contexts::Contexts;
pub(crate) use stream::CodedStream;

use context::Context;
use encoder::Encoder;
