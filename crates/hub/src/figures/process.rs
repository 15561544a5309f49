//! What the operating system says of the process. Of what a system does not say there is no metric.

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// The process at one moment.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Process {
    pub(super) resident_bytes: Option<u64>,
    pub(super) cpu_seconds: Option<f64>,
    pub(super) start_seconds: Option<f64>,
    pub(super) open_files: Option<u64>,
    pub(super) open_files_max: Option<u64>,
}

impl Process {
    pub(super) fn now() -> Self {
        let statm = fs::read_to_string("/proc/self/statm").ok();
        let stat = fs::read_to_string("/proc/self/stat").ok();
        let system = fs::read_to_string("/proc/stat").ok();
        Self {
            resident_bytes: statm.and_then(|text| resident_pages(&text)).map(|pages| pages * page_size() as u64),
            cpu_seconds: stat.as_deref().and_then(|text| Some(seconds(field(text, 14)? + field(text, 15)?))),
            start_seconds: stat.zip(system).and_then(|(stat, system)| start(&stat, &system)),
            open_files: open_files(),
            open_files_max: getrlimit(Resource::Nofile).current,
        }
    }
}

fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// A field of `/proc/self/stat`, counted from 1 as proc(5) does. The second is the program's name in parentheses, which may
/// hold spaces and parentheses itself.
fn field(stat: &str, number: usize) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split_ascii_whitespace().nth(number - 3)?.parse().ok()
}

/// When the process started, in seconds since 1970: the system's start and the process' after that.
fn start(stat: &str, system: &str) -> Option<f64> {
    let booted: u64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(booted as f64 + seconds(field(stat, 22)?))
}

fn seconds(clock_ticks: u64) -> f64 {
    clock_ticks as f64 / clock_ticks_per_second().max(1) as f64
}

/// Since Linux 6.2 the size of the folder is how many there are. Before that each is listed, which takes 10 ms for a hundred
/// thousand.
fn open_files() -> Option<u64> {
    match fs::metadata("/proc/self/fd").ok()?.len() {
        0 => Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64),
        count => Some(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_read_as_proc_5_says() {
        assert_eq!(resident_pages("2051 1024 500 8 0 300 0\n"), Some(1024));
        let stat = format!("7 (a) b ({}) R 1 1 1 0 -1 4194304 1 0 0 0 200 50 0 0 20 0 4 0 1000 1 1", 'c');
        let per_second = clock_ticks_per_second();
        assert_eq!((field(&stat, 14), field(&stat, 15)), (Some(200), Some(50)));
        assert_eq!(start(&stat, "cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000.0 + 1000.0 / per_second as f64));
        assert_eq!(start(&stat, "cpu 1 2\n"), None);
        assert_eq!(field("", 14), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_says_all_of_it() {
        let before = Process::now();
        let file = fs::File::open("/proc/self/stat").unwrap();
        assert!(before.resident_bytes > Some(100_000) && before.cpu_seconds.is_some(), "{before:?}");
        // 2023, and a day that no machine lives to see.
        assert!(before.start_seconds.is_some_and(|start| (1.7e9..1e11).contains(&start)), "{before:?}");
        assert!(before.open_files >= Some(3) && before.open_files_max >= before.open_files, "{before:?}");
        drop(file);
    }
}
