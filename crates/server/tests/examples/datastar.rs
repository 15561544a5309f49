//! Datastar's events, as its own libraries write them.

use serde_json::json;

#[path = "../../examples/datastar/patch.rs"]
#[allow(dead_code, unreachable_pub, reason = "the example is a program of its own")]
mod patch;

use patch::Version;

fn check(event: &fanfare_server::Event, expected: &str) {
    let mut bytes = Vec::new();
    event.encode(&mut bytes);
    assert_eq!(String::from_utf8_lossy(&bytes), expected);
}

#[test]
fn each_line_has_its_name() {
    check(
        &Version::One.patch_elements("<ul id=\"a\">\n<li>1</li>\n</ul>"),
        "event: datastar-patch-elements\ndata: elements <ul id=\"a\">\ndata: elements <li>1</li>\ndata: elements </ul>\n\n",
    );
    check(
        &Version::Beta.patch_elements("<p id=\"a\"></p>"),
        "event: datastar-merge-fragments\ndata: fragments <p id=\"a\"></p>\n\n",
    );
    let signals = json!({ "text": "a\r\nb\rc" });
    let data = "data: signals {\"text\":\"a\\r\\nb\\rc\"}\n\n";
    check(&Version::One.patch_signals(&signals), &format!("event: datastar-patch-signals\n{data}"));
    check(&Version::Beta.patch_signals(&signals), &format!("event: datastar-merge-signals\n{data}"));
}

/// No line of what somebody typed may say where to put it.
#[test]
fn no_text_ends_its_line() {
    for end in ["\r", "\n", "\r\n"] {
        let mut bytes = Vec::new();
        Version::One.patch_elements(&format!("<p>{end}selector body{end}mode outer")).encode(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines = text.lines().filter(|line| line.starts_with("data"));
        assert!(lines.clone().count() >= 3 && lines.clone().all(|line| line.starts_with("data: elements ")), "{text}");
    }
}

#[test]
fn the_page_has_the_attributes_of_its_version() {
    let page = "<form data-on-submit=\"x\"><i data-on-load=\"y\"></i></form>";
    assert_eq!(Version::Beta.page(page), page);
    assert_eq!(Version::One.page(page), "<form data-on:submit=\"x\"><i data-init=\"y\"></i></form>");
}
