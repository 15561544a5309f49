//! "BOM": 11 leaves.

use crate::row::{Row, check, comment, event, message, row};

const BOM: &str = "\u{feff}";

#[tokio::test(start_paused = true)]
async fn byte_order_mark() {
    let hello = message("Hello");
    let one = |name, stream: String, told| row(name, [stream], [told]);
    let rows: Vec<Row> = vec![
        one("BOM at start of stream is stripped", format!("{BOM}data: Hello\n\n"), hello.clone()),
        one(
            "BOM stripped before first event with type and ID",
            format!("{BOM}event: greeting\nid: abc\ndata: Hello\n\n"),
            event("greeting", "Hello", "abc"),
        ),
        row(
            "BOM stripped with multiple messages",
            [format!("{BOM}data: First\n\ndata: Second\n\n")],
            [message("First"), message("Second")],
        ),
        row(
            "BOM only stripped at stream start, not from later data",
            ["data: First\n\n".to_owned(), format!("data: {BOM}Second\n\n")],
            [message("First"), message("\u{feff}Second")],
        ),
        row("BOM split across first two chunks", [&b"\xef\xbb"[..], b"\xbfdata: Hello\n\n"], [hello.clone()]),
        row(
            "BOM split byte by byte across chunks",
            [&b"\xef"[..], b"\xbb", b"\xbf", b"data: Hello\n\n"],
            [hello.clone()],
        ),
        one("only first BOM at start is stripped", format!("{BOM}data: {BOM}Hello\n\n"), message("\u{feff}Hello")),
        one("no BOM", "data: Hello\n\n".to_owned(), hello.clone()),
        one("BOM with multi-line data", format!("{BOM}data: Line1\ndata: Line2\n\n"), message("Line1\nLine2")),
        row("BOM with comment at start", [format!("{BOM}:comment\ndata: Hello\n\n")], [comment("comment"), hello]),
        one("BOM does not affect empty data field", format!("{BOM}data:\n\n"), message("")),
    ];
    check(11, rows).await;
}
