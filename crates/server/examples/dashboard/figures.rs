//! What the system says of this process.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The processor time of this process, from one reading to the next.
pub(crate) struct Process {
    wall: Duration,
    cpu: Duration,
}

impl Process {
    pub(crate) fn new() -> Self {
        Self { wall: read(ClockId::Monotonic), cpu: read(ClockId::ProcessCPUTime) }
    }

    /// The share of one processor since the last reading, in percent. More threads than one may use more than 100.
    pub(crate) fn cpu_percent(&mut self) -> f64 {
        let now = Self::new();
        let (wall, cpu) = (now.wall.saturating_sub(self.wall), now.cpu.saturating_sub(self.cpu));
        *self = now;
        if wall.is_zero() { 0.0 } else { 100.0 * cpu.as_secs_f64() / wall.as_secs_f64() }
    }
}

fn read(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

/// What the process has in memory. Linux tells it in a file; other systems have calls of their own.
pub(crate) fn memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
    kibibytes.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}
