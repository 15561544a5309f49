//! `--lines`: a stream of lines as batches, as large as what came while the last one was on its way.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fanfare_log::BATCH_EVENTS_MAX;
use tokio::sync::mpsc;

use super::{BATCH_BYTES_MAX, PublishArgs, Publisher};
use crate::Failure;

/// A line, in bytes. A file without line ends must not fill the memory.
const LINE_BYTES_MAX: u64 = 512 << 10;

/// Lines read ahead while a batch is on its way.
const LINES_AHEAD: usize = BATCH_EVENTS_MAX;

const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

pub(super) async fn publish(publisher: &Publisher, args: &PublishArgs) -> anyhow::Result<ExitCode> {
    let (sender, mut lines) = mpsc::channel(LINES_AHEAD);
    // A thread of its own: a read of standard input can't be cancelled, and a runtime would wait for it at the end.
    std::thread::spawn(move || read_lines(io::stdin().lock(), |line| sender.blocking_send(line).is_ok()));
    let mut progress = Progress::new();
    let mut held = None;
    loop {
        let Some(first) = (match held.take() {
            Some(line) => Some(Ok(line)),
            None => lines.recv().await.map(|line| line.map(|text| args.line(&text))),
        }) else {
            break;
        };
        let (mut batch, mut events) = (String::new(), 0);
        let (mut next, mut failed) = (Some(first), None);
        while let Some(line) = next.take() {
            match line {
                // What does not fit goes first in the next batch.
                Ok(line) if events > 0 && batch.len() + line.len() > BATCH_BYTES_MAX => {
                    held = Some(line);
                    break;
                }
                Ok(line) => batch += &line,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
            events += 1;
            if events < BATCH_EVENTS_MAX {
                next = lines.try_recv().ok().map(|line| line.map(|text| args.line(&text)));
            }
        }
        if !batch.is_empty() {
            let sent = publisher.send(batch).await;
            let ids = sent.map_err(|error| error.context(format!("stopped after {} events", progress.events)))?;
            progress.add(ids.lines().count());
            if !io::stdout().is_terminal() {
                io::stdout().write_all(ids.as_bytes())?;
            }
        }
        if let Some(error) = failed {
            return Err(error.context(format!("stopped after {} events", progress.events)));
        }
    }
    progress.finish();
    Ok(ExitCode::SUCCESS)
}

/// Gives each line to `take`, without its line end, until there is no more or nobody takes it.
fn read_lines(mut input: impl BufRead, take: impl Fn(anyhow::Result<String>) -> bool) {
    let mut bytes = Vec::new();
    for number in 1_u64.. {
        bytes.clear();
        let line = match input.by_ref().take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut bytes) {
            Ok(0) => return,
            Ok(read) if read as u64 > LINE_BYTES_MAX => {
                Err(Failure::usage(format!("line {number} is longer than {LINE_BYTES_MAX} bytes")).into())
            }
            // What is not UTF-8 arrives with U+FFFD in its place: a log with a stray byte shall still be seen.
            Ok(_) => {
                let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
                Ok(String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned())
            }
            Err(error) => Err(anyhow::Error::new(error).context("can't read standard input")),
        };
        let is_last = line.is_err();
        if !take(line) || is_last {
            return;
        }
    }
}

/// A line on a terminal that says how far it is.
struct Progress {
    events: usize,
    start: Instant,
    shown: Option<Instant>,
    on_terminal: bool,
}

impl Progress {
    fn new() -> Self {
        Self { events: 0, start: Instant::now(), shown: None, on_terminal: io::stderr().is_terminal() }
    }

    fn add(&mut self, events: usize) {
        self.events += events;
        if self.on_terminal && self.shown.is_none_or(|shown| shown.elapsed() > PROGRESS_INTERVAL) {
            self.shown = Some(Instant::now());
            self.show("\r");
        }
    }

    fn finish(&self) {
        if self.on_terminal {
            self.show("\n");
        }
    }

    fn show(&self, end: &str) {
        let seconds = self.start.elapsed().as_secs_f64().max(0.001);
        let rate = self.events as f64 / seconds;
        // A progress line that can't be shown is no reason to stop.
        let _ = write!(io::stderr(), "\r{} events published, {rate:.0} a second  {end}", self.events);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn lines(input: &[u8]) -> Vec<Result<String, String>> {
        let taken = RefCell::new(Vec::new());
        read_lines(input, |line| {
            taken.borrow_mut().push(line.map_err(|error| error.to_string()));
            true
        });
        taken.into_inner()
    }

    #[test]
    fn each_line_is_an_event_without_its_line_end() {
        let expected: Vec<_> = ["a", "", "b", "\u{fffd}", "last"].map(|line| Ok(line.to_owned())).into();
        assert_eq!(lines(b"a\n\nb\r\n\xFF\nlast"), expected);
        assert_eq!(lines(b""), []);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let taken = lines(&vec![b'x'; LINE_BYTES_MAX as usize + 10]);
        assert_eq!(taken, [Err("line 1 is longer than 524288 bytes".to_owned())]);
    }
}
