//! HTTP/1.1's chunked framing (RFC 9112, section 7.1) around an event: the same bytes for every subscriber.

use std::io::IoSlice;

/// Ends the response.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

const END: &[u8] = b"\r\n";

/// The line before a chunk's data: its size in hexadecimal.
pub(crate) struct Head {
    bytes: [u8; 18],
    start: usize,
}

impl Head {
    pub(crate) fn of(mut size: usize) -> Self {
        let mut bytes = *b"0000000000000000\r\n";
        let mut start = 16;
        loop {
            start -= 1;
            bytes[start] = b"0123456789abcdef"[size & 0xF];
            size >>= 4;
            if size == 0 || start == 0 {
                return Self { bytes, start };
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// How many bytes the chunk of so much data takes.
pub(crate) fn len(data: usize) -> usize {
    Head::of(data).bytes().len() + data + END.len()
}

/// Appends `data` as a chunk.
pub(crate) fn encode(data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(Head::of(data.len()).bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(END);
}

/// The chunk of `data` from its byte `sent` on, where it lies.
pub(crate) fn rest<'a>(head: &'a Head, data: &'a [u8], sent: usize) -> [IoSlice<'a>; 3] {
    let mut skip = sent;
    [head.bytes(), data, END].map(|part| {
        let at = skip.min(part.len());
        skip -= at;
        IoSlice::new(&part[at..])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_reads_the_same_whole_and_cut_anywhere() {
        for size in [1, 9, 15, 16, 255, 256, 4096, 70_000] {
            let data = vec![b'x'; size];
            let mut whole = Vec::new();
            encode(&data, &mut whole);
            assert_eq!(whole.len(), len(size));
            assert_eq!(whole, [format!("{size:x}\r\n").as_bytes(), &data, b"\r\n"].concat());
            let head = Head::of(size);
            for sent in (0..=whole.len()).step_by(1 + size / 100) {
                let parts = rest(&head, &data, sent);
                assert_eq!(parts.map(|part| part.to_vec()).concat(), whole[sent..]);
            }
        }
    }
}
