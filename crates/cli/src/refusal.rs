//! What a server says about a refusal.

use serde_json::Value;

/// The longest that is repeated, in characters: a line or two of a terminal.
const DETAIL_CHARS_MAX: usize = 300;

/// The reason in a body: a problem document's `detail` (RFC 9457), the `error` of common APIs, or else the first line,
/// after a colon. Nothing if the body says nothing, or is a page for browsers.
pub(crate) fn detail(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let document: Value = serde_json::from_str(text.trim()).unwrap_or_default();
    let said = [&document["detail"], &document["error"]["message"], &document["error"], &document["message"]];
    let first_line = || text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('<'));
    let reason = said.into_iter().find_map(Value::as_str).or_else(|| first_line().filter(|_| !text.contains("<html")));
    // What a server sends shall not steer a terminal.
    let harmless = |reason: &str| -> String {
        reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(DETAIL_CHARS_MAX).collect()
    };
    reason.map(|reason| format!(": {}", harmless(reason))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_wherever_servers_put_it() {
        for (body, expected) in [
            (r#"{"title":"Bad Request","detail":"no topic"}"#, ": no topic"),
            (r#"{"error":{"message":"no such model","type":"x"}}"#, ": no such model"),
            (r#"{"error":"rate limit"}"#, ": rate limit"),
            ("\n  too many\nconnections", ": too many"),
            ("<!doctype html>\n<html>\nNot Found", ""),
            ("", ""),
            ("\u{1b}[31mred", ":  [31mred"),
        ] {
            assert_eq!(detail(body.as_bytes()), expected, "{body:?}");
        }
        assert_eq!(detail("x".repeat(9999).as_bytes()).len(), ": ".len() + DETAIL_CHARS_MAX);
    }
}
