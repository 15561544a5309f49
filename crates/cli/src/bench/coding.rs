//! The transfer coding of a body (RFC 9112, section 7), taken off without a copy.
//!
//! hyper would do it, at a task and its buffers for each of the subscribers; this is sixteen bytes for each.

/// How the body of an answer is delimited.
#[derive(Debug)]
pub(super) enum Coding {
    /// By the end of the connection.
    Close,
    /// In chunks.
    Chunked(Chunked),
}

/// Where in a body of chunks its reader is.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    place: Place,
    /// The size that is being read, or what is still to come of the chunk, in bytes.
    left: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    SizeStart,
    Size,
    Extension,
    SizeLineFeed,
    Data,
    DataCarriageReturn,
    DataLineFeed,
    Finished,
}

/// The bytes are not what the coding allows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Coding {
    /// The next piece of the body, or `None` when `input` is used up.
    pub(super) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
        match self {
            Self::Close => {
                let all = std::mem::take(input);
                Ok(Some(all).filter(|all| !all.is_empty()))
            }
            Self::Chunked(chunked) => chunked.next(input),
        }
    }

    /// Whether the body has said that it is complete.
    pub(super) fn is_finished(&self) -> bool {
        matches!(self, Self::Chunked(Chunked { place: Place::Finished, .. }))
    }
}

impl Chunked {
    fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
        loop {
            if self.place == Place::Data && !input.is_empty() {
                let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
                let (piece, rest) = input.split_at(length);
                *input = rest;
                self.left -= length as u64;
                if self.left == 0 {
                    self.place = Place::DataCarriageReturn;
                }
                return Ok(Some(piece));
            }
            let Some((&byte, rest)) = input.split_first() else { return Ok(None) };
            *input = rest;
            self.place = match (self.place, byte) {
                (Place::SizeStart | Place::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                    let digit = char::from(byte).to_digit(16).unwrap_or_default();
                    self.left = self.left.checked_mul(16).ok_or(Malformed)? + u64::from(digit);
                    Place::Size
                }
                (Place::Size, b'\r') => Place::SizeLineFeed,
                (Place::Size, b';' | b' ' | b'\t') => Place::Extension,
                (Place::Extension, b'\r') => Place::SizeLineFeed,
                (Place::Extension, _) => Place::Extension,
                (Place::SizeLineFeed, b'\n') if self.left == 0 => Place::Finished,
                (Place::SizeLineFeed, b'\n') => Place::Data,
                (Place::DataCarriageReturn, b'\r') => Place::DataLineFeed,
                (Place::DataLineFeed, b'\n') => Place::SizeStart,
                // Trailers, and the empty line after them, say nothing about the body.
                (Place::Finished, _) => Place::Finished,
                _ => return Err(Malformed),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8], piece_bytes: usize) -> Result<(Vec<u8>, bool), Malformed> {
        let (mut coding, mut body) = (Coding::Chunked(Chunked::default()), Vec::new());
        for mut piece in input.chunks(piece_bytes) {
            while let Some(bytes) = coding.next(&mut piece)? {
                body.extend_from_slice(bytes);
            }
        }
        Ok((body, coding.is_finished()))
    }

    #[test]
    fn chunks_are_put_together_however_they_are_cut() {
        let table: [(&[u8], &[u8], bool); 5] = [
            (b"", b"", false),
            (b"3\r\n:\n\n\r\n", b":\n\n", false),
            (b"1\r\na\r\n0B;name=value\r\nbcdefghijkl\r\n0\r\n\r\n", b"abcdefghijkl", true),
            (b"2 \r\n\r\n\r\n1\r\n\n\r\n", b"\r\n\n", false),
            (b"0\r\nTrailer: x\r\n\r\n", b"", true),
        ];
        for (input, body, is_finished) in table {
            for piece_bytes in 1..=input.len().max(1) {
                assert_eq!(read(input, piece_bytes), Ok((body.to_vec(), is_finished)), "{input:?} {piece_bytes}");
            }
        }
    }

    #[test]
    fn nonsense_is_noticed() {
        for input in ["\r\n", "g\r\n", "1\r\nab", "1\r\na\n", "1\n", "11111111111111111\r\n", ";x\r\n"] {
            assert_eq!(read(input.as_bytes(), 1), Err(Malformed), "{input:?}");
        }
    }
}
