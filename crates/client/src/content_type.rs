//! Is an answer an event stream? (C16)

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// Whether the MIME type of `headers` is `text/event-stream`: its essence, in any case, whatever the parameters.
///
/// As the Fetch standard extracts it: of several values, in one header or many, the last valid one counts.
pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_TYPE)
        .iter()
        .flat_map(|value| split_outside_quotes(value.as_bytes()))
        .filter_map(essence)
        .last()
        .is_some_and(|essence| essence.eq_ignore_ascii_case(fanfare_wire::CONTENT_TYPE))
}

/// The values of a comma-separated header; a comma within a quoted parameter separates nothing.
fn split_outside_quotes(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    value.split(move |&byte| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match byte {
            b'"' if !was_escaped => is_quoted = !is_quoted,
            b'\\' if is_quoted && !was_escaped => is_escaped = true,
            _ => {}
        }
        byte == b',' && !is_quoted
    })
}

/// `type/subtype`, or `None` where the MIME Sniffing standard's parser fails, or finds `*/*`, which says nothing.
fn essence(value: &[u8]) -> Option<&str> {
    let essence = value.split(|&byte| byte == b';').next()?;
    let essence = std::str::from_utf8(essence).ok()?.trim_matches([' ', '\t', '\r', '\n']);
    let (kind, subtype) = essence.split_once('/')?;
    (is_token(kind) && is_token(subtype) && essence != "*/*").then_some(essence)
}

fn is_token(text: &str) -> bool {
    let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c16_only_the_essence_counts() {
        for (values, expected) in [
            (&["text/event-stream"][..], true),
            (&["TEXT/Event-Stream"], true),
            (&["text/event-stream;"], true),
            (&[" text/event-stream ; charset=windows-1252"], true),
            (&["text/event-stream;charset=\"a,b\""], true),
            (&["text/html", "text/event-stream"], true),
            (&["text/html, text/event-stream"], true),
            (&["text/event-stream, */*"], true),
            (&["text/event-stream, nonsense"], true),
            (&["text/event-stream", "text/html"], false),
            (&["text/html;a=\", text/event-stream\""], false),
            (&["text/html;a=\"\\\", text/event-stream\""], false),
            (&["text/event-streamx"], false),
            (&["text/event-stream bogus"], false),
            (&["text/x-bogus"], false),
            (&["x bogus"], false),
            (&["text/event-stream/"], false),
            (&["application/json"], false),
            (&[""], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_TYPE, value.parse().unwrap());
            }
            assert_eq!(is_event_stream(&headers), expected, "{values:?}");
        }
    }
}
