//! The server's own figures, from Linux's /proc.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::Failure;

/// A process on this machine.
#[derive(Debug, Clone)]
pub(super) struct Server {
    folder: PathBuf,
}

/// What a process has had of the processors so far.
#[derive(Debug, Clone)]
pub(super) struct Cpu {
    /// Nanoseconds by thread. Exact, but a thread takes its time with it when it ends.
    threads: BTreeMap<String, u64>,
    /// Of all its threads that ever were, in steps of a clock tick, a hundredth of a second.
    ticks: Duration,
}

impl Server {
    /// Finds the process, and whether its figures may be read.
    pub(super) fn find(pid: u32) -> Result<Self, Failure> {
        let server = Self { folder: PathBuf::from(format!("/proc/{pid}")) };
        match server.cpu().and_then(|_| server.memory_bytes()) {
            Ok(_) => Ok(server),
            Err(error) => Err(Failure::usage(format!(
                "--server-pid {pid}: {error}; name a process of this Linux machine and run bench as the user that it \
                 runs as"
            ))),
        }
    }

    pub(super) fn cpu(&self) -> Result<Cpu, String> {
        let stat = self.read("stat")?;
        // The name in parentheses may hold anything; user and system time are the 12th and 13th field after it.
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields.split_whitespace());
        let ticks: Option<u64> =
            fields.map(|fields| fields.skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum());
        let ticks = ticks.ok_or("its stat file has another form")?;
        let tick =
            Duration::from_secs(1) / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100).max(1);
        let mut threads = BTreeMap::new();
        for thread in fs::read_dir(self.folder.join("task")).into_iter().flatten().flatten() {
            // One that has ended since has no file; a kernel without the statistic has none at all.
            let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
            if let Some(time_ns) = text.split_whitespace().next().and_then(|n| n.parse().ok()) {
                threads.insert(thread.file_name().to_string_lossy().into_owned(), time_ns);
            }
        }
        Ok(Cpu { threads, ticks: tick.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX)) })
    }

    /// Its share of the memory (PSS) without pages of files.
    ///
    /// Those belong to no subscriber, and the pages of the program, which this process shares when it is the same one,
    /// would be counted half of a sudden, which is a hundred bytes for each of a thousand subscribers.
    pub(super) fn memory_bytes(&self) -> Result<u64, String> {
        let rollup = self.read("smaps_rollup")?;
        let size = |name: &str| {
            let value = rollup.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            value.split_whitespace().next()?.parse::<u64>().ok()
        };
        let all = size("Pss").ok_or("its smaps_rollup file has another form")?;
        // Before Linux 5.4 the parts are not told apart.
        Ok((all - size("Pss_File").unwrap_or_default().min(all)) * 1024)
    }

    fn read(&self, name: &str) -> Result<String, String> {
        let path = self.folder.join(name);
        fs::read_to_string(&path).map_err(|error| format!("can't read {}: {error}", path.display()))
    }
}

impl Cpu {
    pub(super) fn since(&self, before: &Self) -> Duration {
        let is_complete = !before.threads.is_empty() && before.threads.keys().all(|id| self.threads.contains_key(id));
        if !is_complete {
            return self.ticks.saturating_sub(before.ticks);
        }
        let time_ns = |(id, now): (&String, &u64)| now.saturating_sub(before.threads.get(id).copied().unwrap_or(0));
        Duration::from_nanos(self.threads.iter().map(time_ns).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_this_process() {
        let server = Server::find(std::process::id()).unwrap();
        let (cpu, memory_bytes) = (server.cpu().unwrap(), server.memory_bytes().unwrap());
        let held = std::hint::black_box(vec![1_u8; 64 << 20]);
        assert!(server.memory_bytes().unwrap() >= memory_bytes + (60 << 20));
        assert!(held.iter().map(|n| u64::from(*n)).sum::<u64>() > 0);
        assert!(server.cpu().unwrap().since(&cpu) > Duration::ZERO);
    }

    #[test]
    fn a_thread_that_ended_leaves_the_coarse_figure() {
        let cpu = |threads: &[(&str, u64)], ticks_ms| Cpu {
            threads: threads.iter().map(|(id, ns)| ((*id).to_owned(), *ns)).collect(),
            ticks: Duration::from_millis(ticks_ms),
        };
        let before = cpu(&[("1", 100), ("2", 50)], 20);
        assert_eq!(cpu(&[("1", 300), ("2", 50), ("3", 7)], 90).since(&before), Duration::from_nanos(207));
        assert_eq!(cpu(&[("1", 300)], 90).since(&before), Duration::from_millis(70));
        assert_eq!(cpu(&[], 90).since(&cpu(&[], 20)), Duration::from_millis(70));
    }

    #[test]
    fn a_process_that_is_not_there() {
        let message = Server::find(u32::MAX).unwrap_err().message;
        assert!(message.contains("--server-pid") && message.contains("as the user"), "{message}");
    }
}
