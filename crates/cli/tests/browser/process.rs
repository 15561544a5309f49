//! A program that a test starts, and that ends with the test however the test ends.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};

use crate::webdriver::PATIENCE;

/// A program that runs until this is dropped.
pub(crate) struct Process(Child);

impl Process {
    /// Starts `command` and waits for the first line of its output in which `find` finds something.
    pub(crate) fn start<T: Send + 'static>(
        mut command: Command,
        find: impl Fn(&str) -> Option<T> + Send + Sync + 'static,
    ) -> (Self, T) {
        let program = command.get_program().to_owned();
        Self::attempt(&mut command, &Arc::new(find))
            .unwrap_or_else(|| panic!("{program:?} ended without saying where it listens"))
    }

    /// The same, again if the program ends before it has said anything, for one that can't always have the port that it
    /// drew.
    pub(crate) fn start_again<T: Send + 'static>(
        mut command: Command,
        find: impl Fn(&str) -> Option<T> + Send + Sync + 'static,
    ) -> (Self, T) {
        const ATTEMPTS: usize = 10;
        let (program, find) = (command.get_program().to_owned(), Arc::new(find));
        let started = (0..ATTEMPTS).find_map(|_| Self::attempt(&mut command, &find));
        started.unwrap_or_else(|| panic!("{program:?} ended {ATTEMPTS} times without saying where it listens"))
    }

    /// `None` if the program ended first.
    fn attempt<T: Send + 'static>(
        command: &mut Command,
        find: &Arc<impl Fn(&str) -> Option<T> + Send + Sync + 'static>,
    ) -> Option<(Self, T)> {
        let program = command.get_program().to_owned();
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut process = Self(child.unwrap_or_else(|error| panic!("{program:?} does not start: {error}")));
        let output = BufReader::new(process.0.stdout.take().unwrap());
        let (found, finding) = mpsc::channel();
        let find = find.clone();
        // It reads to the end, so that the program never waits for someone to take its output.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some(it) = find(&line) {
                    let _ = found.send(it);
                }
            }
        });
        match finding.recv_timeout(PATIENCE) {
            Ok(found) => Some((process, found)),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("{program:?} did not say where it listens"),
        }
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
