//! A program that a test starts, and that ends with the test however the test ends.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use crate::webdriver::PATIENCE;

/// A program that runs until this is dropped.
pub(crate) struct Process(Child);

impl Process {
    /// Starts `command` and waits for the first line of its output in which `find` finds something.
    pub(crate) fn start<T: Send + 'static>(
        mut command: Command,
        find: impl Fn(&str) -> Option<T> + Send + 'static,
    ) -> (Self, T) {
        let program = command.get_program().to_owned();
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut process = Self(child.unwrap_or_else(|error| panic!("{program:?} does not start: {error}")));
        let output = BufReader::new(process.0.stdout.take().unwrap());
        let (found, finding) = mpsc::channel();
        // It reads to the end, so that the program never waits for someone to take its output.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some(it) = find(&line) {
                    let _ = found.send(it);
                }
            }
        });
        let found = finding.recv_timeout(PATIENCE);
        (process, found.unwrap_or_else(|error| panic!("{program:?} did not say where it listens: {error}")))
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
