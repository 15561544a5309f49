//! What the head of an answer tells.

use reqwest::{StatusCode, Version};

use super::cure::Fault;
use super::report::Check;
use super::stream::{Head, Seen};
use super::target::Target;

/// Why there is no stream, if there is none.
pub(super) fn refusal(head: &Head) -> Option<Check> {
    let status = head.status;
    let told = |advice: &str| format!("the answer is {status}{}; {advice}", head.reason);
    let (text, fault) = match status {
        StatusCode::OK => return None,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            (told("give a token that allows it with --token"), Some(Fault::Token))
        }
        StatusCode::NOT_FOUND => (told("is this the URL of a stream? Fanfare's own is at /events"), None),
        StatusCode::MISDIRECTED_REQUEST => {
            (told("without keys the hub answers to IP addresses and localhost alone"), Some(Fault::HostRefused))
        }
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            (told("the proxy finds no server behind it"), Some(Fault::NoServer))
        }
        StatusCode::NO_CONTENT => (told("which tells clients to stop"), None),
        _ => (told("browsers give up for good on anything but 200"), None),
    };
    Some(Check::problem("connect", text, fault))
}

pub(super) fn content_type(seen: &Seen) -> Check {
    let name = "content-type";
    match seen.header(name) {
        Some(value) if is_event_stream(value) => Check::ok(name, value),
        Some(value) => {
            let text =
                format!("it is {value:?}, and browsers take text/event-stream alone: is this the URL of a stream?");
            Check::problem(name, text, None)
        }
        None => {
            let text = "there is none, and browsers take text/event-stream alone";
            Check::problem(name, text, Fault::HeaderGone("Content-Type"))
        }
    }
}

fn is_event_stream(value: &str) -> bool {
    value.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// The version, and with it how many streams a page may have.
pub(super) fn http(head: &Head, target: &Target) -> Check {
    let name = "http";
    let version = head.version;
    if version > Version::HTTP_11 {
        return Check::ok(name, format!("{version:?}: a page may have as many streams as it likes"));
    }
    let text = format!("{version:?}: a browser opens six connections to a host, for all its tabs together");
    if target.is_loopback() && target.url.scheme() == "http" {
        return Check::ok(name, format!("{text}; from this machine to itself that is to be expected"));
    }
    let text = match target.url.scheme() {
        "https" => text,
        _ => format!("{text}; HTTP/2 they speak over TLS alone"),
    };
    Check::problem(name, text, Fault::SixConnections)
}

/// The headers that a hub always sends. Of another server nobody knows what was taken away.
pub(super) fn headers(seen: &Seen, is_hub: bool) -> Vec<Check> {
    vec![cache_control(seen, is_hub), accel_buffering(seen), last_event_id(seen, is_hub)]
}

fn cache_control(seen: &Seen, is_hub: bool) -> Check {
    let name = "cache-control";
    match seen.header(name) {
        Some(value) if value.contains("no-cache") || value.contains("no-store") => Check::ok(name, value),
        Some(value) => {
            let text = format!("it is {value:?}: what is on the way may keep the stream and hand it out again");
            Check::problem(name, text, Fault::HeaderGone("Cache-Control"))
        }
        None if is_hub => {
            let text = "the hub sends one and it does not arrive: a cache on the way may keep the stream";
            Check::problem(name, text, Fault::HeaderGone("Cache-Control"))
        }
        None => Check::unknown(name, "there is none; a server of streams should send no-cache"),
    }
}

/// It speaks to nginx, which obeys it and keeps it to itself: whether it worked shows in when events arrive.
fn accel_buffering(seen: &Seen) -> Check {
    let name = "x-accel-buffering";
    match seen.header(name) {
        Some(value) => Check::ok(name, value),
        None if seen.header("server").is_some_and(|server| server.contains("nginx")) => {
            Check::ok(name, "nginx keeps it to itself, as always")
        }
        None => Check::unknown(
            name,
            "there is none: an nginx on the way would hold events back if it is not told elsewhere",
        ),
    }
}

fn last_event_id(seen: &Seen, is_hub: bool) -> Check {
    let name = "last-event-id";
    match seen.header(name) {
        Some(value) => Check::ok(name, format!("the answer says where the stream begins: {value}")),
        None if is_hub => {
            let text =
                "the hub answers with one and it does not arrive: clients can't tell whether they missed anything";
            Check::problem(name, text, Fault::HeaderGone("Last-Event-ID"))
        }
        None => Check::unknown(name, "the answer has none; hubs of the Mercure kind say in it where the stream begins"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_essence_of_the_type_counts() {
        for (value, expected) in [
            ("text/event-stream", true),
            ("Text/Event-Stream; charset=utf-8", true),
            ("text/event-streamx", false),
            ("text/html", false),
        ] {
            assert_eq!(is_event_stream(value), expected, "{value}");
        }
    }
}
