//! "Comments": 4 leaves. A comment is told at the end of its line.

use crate::row::{check, comment, message, row};

#[tokio::test(start_paused = true)]
async fn comments() {
    check(
        4,
        vec![
            row("single comment", [":Hello\n"], [comment("Hello")]),
            row("two comments in a row", [":Hello\n", ":World\n"], [comment("Hello"), comment("World")]),
            row("comment before event", [":Hello\n", "data: Hello\n\n"], [comment("Hello"), message("Hello")]),
            row("comment after event", ["data: Hello\n\n", ":Hello\n"], [message("Hello"), comment("Hello")]),
        ],
    )
    .await;
}
