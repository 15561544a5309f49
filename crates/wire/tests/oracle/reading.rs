//! Two ways to read a stream, in words that can be compared: the standard's, and the decoder's. The fuzz targets use them
//! too.

use fanfare_wire::{Decoded, Decoder};

/// What a stream says, in the standard's own order: whole lines, whole buffers, no chunks, no limits.
pub(crate) fn oracle(stream: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(stream);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n");
    let Some((complete, _unfinished)) = text.rsplit_once('\n') else { return Vec::new() };
    let (mut found, mut data, mut event_type, mut id) = (Vec::new(), String::new(), String::new(), String::new());
    for line in complete.split('\n') {
        if line.is_empty() {
            if let Some(data) = data.strip_suffix('\n') {
                let event_type = if event_type.is_empty() { "message" } else { &event_type };
                found.push(format!("{event_type}|{data}|{id}"));
            }
            data.clear();
            event_type.clear();
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let field = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" => found.push(format!(":{value}")),
            "data" => data += &format!("{field}\n"),
            "event" => event_type = field.to_owned(),
            "id" if !field.contains('\0') => id = field.to_owned(),
            "retry" if !field.is_empty() && field.bytes().all(|b| b.is_ascii_digit()) => {
                found.push(format!("retry {}", field.parse().unwrap_or(u64::MAX)));
            }
            _ => {}
        }
    }
    found
}

/// What the decoder says, comments and reconnection times included, in the oracle's words.
pub(crate) fn decode(chunks: &[&[u8]]) -> Vec<String> {
    decode_with(Decoder::new().with_comments(), chunks)
}

/// What `decoder` says.
pub(crate) fn decode_with(mut decoder: Decoder, chunks: &[&[u8]]) -> Vec<String> {
    let mut found = Vec::new();
    for mut chunk in chunks.iter().copied() {
        while let Some(decoded) = decoder.decode(&mut chunk) {
            found.push(match decoded {
                Decoded::Event(m) => format!("{}|{}|{}", m.event_type, m.data, m.last_event_id),
                Decoded::Comment(text) => format!(":{text}"),
                Decoded::Retry(milliseconds) => format!("retry {milliseconds}"),
                Decoded::Skipped(s) => format!("skipped {:?} {}|{}", s.reason, s.bytes, s.last_event_id),
                other => panic!("unknown: {other:?}"),
            });
        }
    }
    found
}

/// Cuts `stream` at the given places, taken modulo what is left.
pub(crate) fn cut<'a>(mut stream: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    for cut in cuts {
        let (chunk, rest) = stream.split_at(cut % (stream.len() + 1));
        chunks.push(chunk);
        stream = rest;
    }
    chunks.push(stream);
    chunks
}
