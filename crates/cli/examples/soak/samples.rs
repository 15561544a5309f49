//! What the hub took, second by second, and whether it is flat.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::ensure;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) seconds: u64,
    pub(crate) published: u64,
    pub(crate) received: u64,
    pub(crate) subscribers: u64,
    pub(crate) memory_kib: u64,
    pub(crate) open_files: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Samples(pub(crate) Vec<Sample>);

/// What memory may differ by from one window to another: what the allocator keeps of bursts.
const SLACK_KIB: u64 = 8 << 10;

impl Samples {
    /// As a table for a spreadsheet or for gnuplot.
    pub(crate) fn write_csv(&self, file: &Path) -> anyhow::Result<()> {
        let mut text = "seconds,published,received,subscribers,memory_kib,open_files\n".to_owned();
        for Sample { seconds, published, received, subscribers, memory_kib, open_files } in &self.0 {
            writeln!(text, "{seconds},{published},{received},{subscribers},{memory_kib},{open_files}")?;
        }
        Ok(std::fs::write(file, text)?)
    }

    /// Looks at the samples after the first quarter, in which it gets warm: the medians of four windows, and the slope.
    pub(crate) fn check_flat(&self) -> anyhow::Result<()> {
        let warm = &self.0[self.0.len() / 4..];
        ensure!(warm.len() >= 8, "too short a run to tell");
        let windows: Vec<u64> = warm.chunks(warm.len().div_ceil(4)).map(median).collect();
        println!("memory: {windows:?} KiB as medians of four windows, {:.0} KiB more an hour", slope(warm) * 3600.0);
        let (first, last) = (windows[0], windows[windows.len() - 1]);
        ensure!(last <= first + first / 10 + SLACK_KIB, "its memory grows: {windows:?} KiB");
        Ok(())
    }
}

fn median(window: &[Sample]) -> u64 {
    let mut memory: Vec<u64> = window.iter().map(|sample| sample.memory_kib).collect();
    memory.sort_unstable();
    memory[memory.len() / 2]
}

/// KiB a second, by least squares.
fn slope(samples: &[Sample]) -> f64 {
    let mean = |value: fn(&Sample) -> f64| samples.iter().map(value).sum::<f64>() / samples.len() as f64;
    let (seconds, memory) = (mean(|sample| sample.seconds as f64), mean(|sample| sample.memory_kib as f64));
    let off = |sample: &Sample| sample.seconds as f64 - seconds;
    let up: f64 = samples.iter().map(|sample| off(sample) * (sample.memory_kib as f64 - memory)).sum();
    up / samples.iter().map(|sample| off(sample).powi(2)).sum::<f64>().max(1.0)
}
