//! A server's process: started, looked at, ended.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Keeps this process, and those it starts from now on, on that one of its processors, if it has so many.
pub fn stay_on(at: usize) {
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let Some(processor) = (0..CpuSet::MAX_CPU).filter(|processor| allowed.is_set(*processor)).nth(at) else { return };
    let mut one = CpuSet::new();
    one.set(processor);
    let _ = sched_setaffinity(None, &one);
}

/// A server that ends when this is dropped.
pub struct Server {
    child: Child,
    pub address: String,
}

impl Server {
    /// Starts `program serve NAME`, and says `input` to it.
    pub fn start(program: &Path, arguments: &[&str], input: &str) -> Self {
        let mut command = Command::new(program);
        command.arg("serve").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(input.as_bytes()).expect("it reads");
        drop(stdin);
        let mut address = String::new();
        let out = child.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut address).expect("it says where it listens");
        Self { child, address: address.trim().to_owned() }
    }

    /// What all its threads have had of the processors.
    pub fn processor_time(&self) -> Duration {
        let threads = std::fs::read_dir(self.file("task")).expect("Linux");
        let time = |thread: PathBuf| -> Option<u64> {
            std::fs::read_to_string(thread.join("schedstat")).ok()?.split_whitespace().next()?.parse().ok()
        };
        Duration::from_nanos(threads.flatten().filter_map(|thread| time(thread.path())).sum())
    }

    pub fn memory_bytes(&self) -> f64 {
        memory_bytes(&self.child.id().to_string())
    }

    fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.child.id()))
    }
}

/// A process's share of the memory without pages of files, which belong to no subscriber.
pub fn memory_bytes(process: &str) -> f64 {
    let rollup = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).expect("Linux");
    let size = |name: &str| -> f64 {
        let value = rollup.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
        value.expect("a size").parse().expect("a number")
    };
    (size("Pss:") - size("Pss_File:")) * 1024.0
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
