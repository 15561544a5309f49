//! "Linefeeds": 55 leaves. After a CR at the end of what is there nothing may be waited for.

use crate::row::{Told, check, message, row};

#[tokio::test(start_paused = true)]
async fn line_ends() {
    let mut rows = Vec::new();
    for (line_end_name, line_end) in [("LF", "\n"), ("CRLF", "\r\n"), ("CR", "\r")] {
        for (shape, stream, told) in shapes() {
            let stream = stream.replace('\n', line_end);
            for (cut, size) in [("one chunk", stream.len()), ("1-character chunks", 1), ("2-character chunks", 2)] {
                let name = format!("{line_end_name} separator, {shape}, {cut}");
                rows.push(row(&name, stream.as_bytes().chunks(size), told.iter().map(|data| message(data))));
            }
        }
    }
    let told: [Told; 2] = [message("Hello\nWorld"), message("OK")];
    let chunks = ["data: Hello\r", "\ndata: World\r", "\n\r\ndata: OK\r", "\n", "\r", "\n"];
    rows.push(row("CRLF where CR is end of 1 chunk", chunks, told));
    check(55, rows).await;
}

/// A name, a stream, and the data of its events.
fn shapes() -> [(&'static str, &'static str, &'static [&'static str]); 6] {
    let two = &["event 1", "event 2"];
    [
        ("one-line event", "data: event 1\n\n", &["event 1"]),
        (
            "one-line event + two-line event",
            "data: event 1\n\ndata: event 2 line 1\ndata: event 2 line 2\n\n",
            &["event 1", "event 2 line 1\nevent 2 line 2"],
        ),
        ("3-line event with empty line at beginning", "data:\ndata: line2\ndata: line3\n\n", &["\nline2\nline3"]),
        ("3-line event with empty line in middle", "data: line1\ndata:\ndata: line3\n\n", &["line1\n\nline3"]),
        ("1 extra empty line", "data: event 1\n\n\ndata: event 2\n\n", two),
        ("2 extra empty lines", "data: event 1\n\n\n\ndata: event 2\n\n", two),
    ]
}
