//! Nobody publishes in the hub's own namespace, however the topic is spelled and whichever way it comes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::running::{PATIENCE, Running};
use crate::tokens::{both, hub, publisher};

/// Topics that somebody could take for the hub's own.
const RESERVED: [&str; 30] = [
    "/.well-known/mercure",
    "/.well-known/mercure/",
    "/.well-known/mercure/subscriptions",
    "/.well-known/mercure/subscriptions/a/b",
    ".well-known/mercure",
    "//.well-known//mercure//subscriptions",
    "https://hub.example/.well-known/mercure/subscriptions/a/b",
    "HTTPS://HUB.EXAMPLE/.WELL-KNOWN/MERCURE",
    "//hub.example/.well-known/mercure",
    "https://user:pass@hub.example:443/.well-known/mercure?x=y#z",
    "/.Well-Known/Mercure/Subscriptions/a/b",
    "/%2Ewell-known/mercure",
    "/.well%2Dknown/mercure",
    "/.well-known%2Fmercure",
    "/.well-known%2fmercure%2fsubscriptions",
    "%2F.well-known%2Fmercure",
    "/.well-known/%6Dercure",
    "/%252Ewell-known/mercure",
    "/%25252Ewell-known/mercure",
    "/.well-known/./mercure",
    "/.well-known/x/../mercure",
    "/x/../.well-known/mercure",
    "/.well-known/%2e%2e/.well-known/mercure",
    "/.well-known/x/%2E%2e/mercure",
    "\\.well-known\\mercure",
    "/.well-known\\mercure",
    "/.well-known%5Cmercure",
    "/.well-known/mercure%20",
    " /.well-known/mercure ",
    "/a/b/.well-known/mercure",
];

/// Topics that no reader takes for it: the namespace is compared as URLs are, which know no compatibility forms.
const FREE: [&str; 7] = [
    "/.well-known/mercures",
    "/well-known/mercure",
    "/.well-known/x/mercure",
    "mercure",
    "/\u{ff0e}well-known/mercure",
    "/.well-known\u{2215}mercure",
    "/.well-known/\u{ff4d}ercure",
];

/// Every byte that could mean something to a path, a form or JSON is encoded once more.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn raw(hub: &Running, token: &str, path: &str) -> String {
    let mut stream = hub.connect().await;
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n");
    stream.write_all(format!("{head}Connection: close\r\nContent-Length: 1\r\n\r\nx").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap().split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn no_spelling_on_no_path_publishes_there() {
    let hub = hub(both()).await;
    let token = publisher(&["*"]);
    let status = async |path: &str, content_type: &str, body: String| {
        let request = hub.post(path).bearer_auth(&token).header("content-type", content_type).body(body);
        request.send().await.unwrap().status().as_u16()
    };
    for (topics, expected) in [(&RESERVED[..], 403), (&FREE[..], 200)] {
        for topic in topics {
            let form = |text: String| format!("topic=a&topic={text}");
            let form_type = "application/x-www-form-urlencoded";
            assert_eq!(status("/.well-known/mercure", form_type, form(encoded(topic))).await, expected, "{topic}");
            let line = serde_json::json!({ "topic": ["a", topic] }).to_string();
            assert_eq!(status("/events", "application/x-ndjson", line).await, expected, "{topic}");
            let path = format!("/events/{}", encoded(topic));
            assert_eq!(status(&path, "text/plain", "x".to_owned()).await, expected, "{topic}");
        }
    }
    let before = hub.hub.figures().published;
    // As they are, on a path that no client has tidied up.
    for topic in RESERVED.into_iter().filter(|topic| !topic.contains([' ', '#', '?', '\\'])) {
        assert_eq!(raw(&hub, &token, &format!("/events/{topic}")).await, "403", "{topic}");
    }
    assert_eq!(hub.hub.figures().published, before);
}
