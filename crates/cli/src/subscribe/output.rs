//! Standard output, gathered and written without blocking the stream.

use std::io;

use tokio::io::{AsyncWriteExt, Stdout};

/// Text on its way to standard output.
///
/// The write happens on a thread of its own, so that a reader that is slow, or stopped, keeps neither Ctrl-C nor
/// `--max-time` from working.
#[derive(Debug)]
pub(crate) struct Output {
    text: String,
    /// How much of the text is written.
    written: usize,
    stdout: Stdout,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { text: String::new(), written: 0, stdout: tokio::io::stdout() }
    }

    /// What is not written yet, to append to.
    pub(crate) fn text(&mut self) -> &mut String {
        &mut self.text
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len() - self.written
    }

    /// Writes everything out. May be dropped half-way and called again.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while let Some(rest) = self.text.as_bytes().get(self.written..)
            && !rest.is_empty()
        {
            self.written += self.stdout.write(rest).await?;
        }
        self.text.clear();
        self.written = 0;
        self.stdout.flush().await
    }
}
