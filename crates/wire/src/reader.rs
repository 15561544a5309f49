//! Events from a blocking source of bytes.

use std::io::{self, BufRead};

use crate::owned::next_message;
use crate::{Decoder, MessageError, OwnedMessage};

/// An iterator over the events of a [`BufRead`]: a file, a pipe, a socket.
///
/// It ends with the source; an event that is unfinished then is none (P11). An error does not end it: reading may be
/// tried again.
///
/// ```
/// use fanfare_wire::MessageReader;
///
/// let stream = &b"event: note\ndata: one\n\ndata: two\n\ndata: unfinished"[..];
/// let events = MessageReader::new(stream).collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(events.len(), 2);
/// assert_eq!((events[0].event_type.as_str(), events[0].data.as_str()), ("note", "one"));
/// # Ok::<(), fanfare_wire::MessageError<std::io::Error>>(())
/// ```
#[derive(Debug)]
pub struct MessageReader<R> {
    source: R,
    decoder: Decoder,
}

impl<R: BufRead> MessageReader<R> {
    /// Reads events from `source` with the default limits.
    pub fn new(source: R) -> Self {
        Self::with_decoder(source, Decoder::new())
    }

    /// Reads events from `source` with the limits and the last event id of `decoder`.
    pub fn with_decoder(source: R, decoder: Decoder) -> Self {
        Self { source, decoder }
    }

    /// The decoder, for the last event id.
    #[must_use]
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }
}

impl<R: BufRead> Iterator for MessageReader<R> {
    type Item = Result<OwnedMessage, MessageError<io::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let chunk = match self.source.fill_buf() {
                Ok([]) => return None,
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Some(Err(MessageError::Source(error))),
            };
            let mut rest = chunk;
            let found = next_message(&mut self.decoder, &mut rest);
            let taken = chunk.len() - rest.len();
            self.source.consume(taken);
            if found.is_some() {
                return found;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;
    use std::io::{BufReader, Read};

    /// Fails before every byte.
    struct Stuttering<'a>(&'a [u8], bool);

    impl Read for Stuttering<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::Error::other("once more"));
            }
            self.0.take(1).read(buffer).inspect(|read| self.0 = &self.0[*read..])
        }
    }

    #[test]
    fn an_error_of_the_source_loses_nothing() {
        let source = Stuttering(b"id: 7\ndata: a\n\ndata: b\n\n", false);
        let mut reader = MessageReader::new(BufReader::new(source));
        let data: Vec<_> = reader.by_ref().filter_map(Result::ok).map(|message| message.data).collect();
        assert_eq!(data, ["a", "b"]);
        assert_eq!(reader.decoder().last_event_id(), "7");
    }

    #[test]
    fn what_is_skipped_is_told() {
        let decoder = Decoder::with_limits(crate::Limits::for_event_bytes(3));
        let found: Vec<_> = MessageReader::with_decoder(&b"data: long\n\ndata: ok\n\n"[..], decoder).collect();
        assert!(found[0].as_ref().unwrap_err().to_string().contains("11 bytes"), "{found:?}");
        assert_eq!(found[1].as_ref().unwrap().data, "ok");
    }
}
