//! Clocks, and the table.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The middle of `values`, in order.
pub fn percentile(values: &mut [f64], percent: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = (values.len() as f64 * percent / 100.0) as usize;
    values.get(index.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// What the process has used of all processors.
pub fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Memory that belongs to the process alone, in bytes.
pub fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") * 1024.0
}

/// The median of appending 4 KiB to a file and syncing it, in milliseconds.
pub fn sync_time(folder: &Path) -> f64 {
    let folder = tempfile::tempdir_in(folder).expect("a folder");
    let file = std::fs::File::create(folder.path().join("file")).expect("a file");
    let mut times: Vec<f64> = (0..200)
        .map(|n| {
            let start = Instant::now();
            file.write_all_at(&[7; 4096], n * 4096).expect("a write");
            file.sync_data().expect("a sync");
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    percentile(&mut times, 50.0)
}

/// Has the system forget what it holds of the files in a folder.
pub fn forget(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let file = std::fs::File::open(entry.expect("an entry").path()).expect("a file");
        file.sync_all().expect("a sync");
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("advice");
    }
}

/// Whether more or less is better.
#[derive(Clone, Copy)]
pub enum Better {
    More,
    Less,
}

struct Row {
    name: String,
    bar: &'static str,
    unit: &'static str,
    better: Better,
    values: Vec<f64>,
}

/// Measurements by name, in the order in which they first came.
#[derive(Default)]
pub struct Table(Vec<Row>);

impl Table {
    pub fn add(&mut self, name: &str, bar: &'static str, unit: &'static str, better: Better, value: f64) {
        match self.0.iter_mut().find(|row| row.name == name) {
            Some(row) => row.values.push(value),
            None => self.0.push(Row { name: name.to_owned(), bar, unit, better, values: vec![value] }),
        }
    }

    pub fn print(self) {
        println!("| measured | bar | median (best) |\n|---|---:|---:|");
        for Row { name, bar, unit, better, mut values } in self.0 {
            let best = match better {
                Better::More => values.iter().copied().fold(f64::MIN, f64::max),
                Better::Less => values.iter().copied().fold(f64::MAX, f64::min),
            };
            let median = percentile(&mut values, 50.0);
            println!("| {name} | {bar} | {} ({}) {unit} |", figure(median), figure(best));
        }
    }
}

/// Three digits that mean something.
fn figure(value: f64) -> String {
    match value {
        value if value >= 100.0 => {
            let digits = format!("{value:.0}");
            let groups: Vec<&str> =
                digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
            groups.join(",")
        }
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.3}"),
    }
}
