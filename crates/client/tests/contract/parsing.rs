//! "Basic parsing": 23 leaves.

use crate::row::{Row, check, event, message, row};

#[tokio::test(start_paused = true)]
async fn basic_parsing() {
    let mut rows = cuts();
    rows.extend(fields());
    rows.extend(ids());
    check(23, rows).await;
}

/// What may be cut anywhere.
fn cuts() -> Vec<Row> {
    let (large, larger) = (text(7 << 20), text(14 << 20));
    let half = larger.len() / 2;
    let in_two = [format!("data: {}", &larger[..half]), format!("{}\n\n", &larger[half..])];
    let hundred: String = (0..100).map(|n| format!("data: message {n}\n\n")).collect();
    let multi_byte = "data: €豆腐\n\n";
    let two = || [message("Hello"), message("World")];
    vec![
        row("one-line message in one chunk", ["data: Hello\n\n"], [message("Hello")]),
        row("two messages in three chunks", ["data: He", "llo\n\ndata: Wo", "rld\n\n"], two()),
        row("large message in one chunk", [format!("data: {large}\n\n")], [message(&large)]),
        row("large message in two chunks", in_two, [message(&larger)]),
        row("one-line message in two chunks", ["data: Hel", "lo\n\n"], [message("Hello")]),
        row("two one-line messages in one chunk", ["data: Hello\n\ndata: World\n\n"], two()),
        row("one two-line message in one chunk", ["data: Hello\ndata:World\n\n"], [message("Hello\nWorld")]),
        row("multi-byte characters", [multi_byte], [message("€豆腐")]),
        row("multi-byte characters sent in single-byte pieces", multi_byte.as_bytes().chunks(1), [message("€豆腐")]),
        row("many messages in rapid succession", [hundred], (0..100).map(|n| message(&format!("message {n}")))),
    ]
}

/// What a line says.
fn fields() -> Vec<Row> {
    let greeting = || [event("greeting", "Hello", "")];
    vec![
        row("empty data", ["data:\n\n"], [message("")]),
        row("event with specific type", ["event: greeting\ndata: Hello\n\n"], greeting()),
        row("default event type", ["data: Hello\n\n"], [event("message", "Hello", "")]),
        row("unknown field is ignored", ["event: greeting\ncolor: blue\ndata: Hello\n\n"], greeting()),
        row("fields without leading space", ["event:greeting\ndata:Hello\n\n"], greeting()),
        row(
            "fields with extra leading space",
            ["event:  greeting\ndata:  Hello\n\n"],
            [event(" greeting", " Hello", "")],
        ),
        row("field with no colon", ["data\n\ndata\ndata\n\n"], [message(""), message("\n")]),
    ]
}

/// What an event carries beside its data.
fn ids() -> Vec<Row> {
    let greeting = || [event("greeting", "Hello", "abc")];
    vec![
        row("event with ID", ["id: abc\ndata: Hello\n\n"], [event("message", "Hello", "abc")]),
        row("event with type and ID", ["event: greeting\nid: abc\ndata: Hello\n\n"], greeting()),
        row("fields in reverse order", ["data: Hello\nid: abc\nevent: greeting\n\n"], greeting()),
        row("ID field is ignored if it contains a null", ["id: a\0bc\ndata: Hello\n\n"], [message("Hello")]),
        row(
            "last ID persists if not overridden by later event",
            ["id: abc\ndata: first\n\n", "data: second\n\n"],
            [event("message", "first", "abc"), event("message", "second", "abc")],
        ),
        row(
            "last ID can be overridden by an empty value",
            ["id: abc\ndata: first\n\n", "id: \ndata: second\n\n"],
            [event("message", "first", "abc"), message("second")],
        ),
    ]
}

/// The harness sends random bytes in base64. This is as large, and no two megabytes of it are the same.
fn text(bytes: usize) -> String {
    (0_u64..).map(|n| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).take(bytes / 16).collect()
}
