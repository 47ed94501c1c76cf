//! The kernel's figures of this process.

use std::fs;

/// Ticks of the clock by which the kernel tells processor time to processes: 100 on every
/// architecture that this runs on.
const TICKS: f64 = 100.0;

/// The kernel's figures of this process; 0 where it cannot be read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Process {
    /// Processor time in seconds.
    pub cpu: f64,
    /// Bytes of memory in use.
    pub resident: u64,
    /// Bytes of addresses.
    pub virtual_memory: u64,
    /// File descriptors that are open.
    pub fds: u64,
    /// File descriptors that may be open.
    pub max_fds: u64,
    /// Threads.
    pub threads: u64,
    /// When it was started, in seconds since 1970.
    pub start: f64,
}

impl Process {
    /// As it is now.
    pub fn now() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let fds = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        // Reading the folder takes one itself.
        let fds = u64::try_from(fds).unwrap_or_default().saturating_sub(1);
        let (stat, status) = (read("/proc/self/stat"), read("/proc/self/status"));
        Self { fds, ..Self::of(&stat, &status, &read("/proc/stat"), &read("/proc/self/limits")) }
    }

    fn of(stat: &str, status: &str, machine: &str, limits: &str) -> Self {
        // The program's name, in parentheses, may hold anything.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let fields: Vec<f64> =
            fields.split_whitespace().map(|field| field.parse().unwrap_or_default()).collect();
        // By proc(5), counted from the state, which is the third.
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or_default();
        let kib = |name: &str| number(status, name) * 1024;
        Self {
            cpu: (field(14) + field(15)) / TICKS,
            resident: kib("VmRSS:"),
            virtual_memory: kib("VmSize:"),
            fds: 0,
            max_fds: number(limits, "Max open files"),
            threads: number(status, "Threads:"),
            start: number(machine, "btime ") as f64 + field(22) / TICKS,
        }
    }
}

/// The number behind a word that begins a line.
fn number(text: &str, word: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(word));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 9 0 1000 5 6 7";
        let status = "Name:\ta\nVmSize:\t  200 kB\nVmRSS:\t  100 kB\nThreads:\t9\n";
        let limits = "Max open files            1024                 4096                 files\n";
        let found = Process::of(stat, status, "cpu 1 2\nbtime 5000\n", limits);
        let expected = Process {
            cpu: 2.0,
            resident: 102_400,
            virtual_memory: 204_800,
            fds: 0,
            max_fds: 1024,
            threads: 9,
            start: 5010.0,
        };
        assert_eq!(found, expected);
        let now = Process::now();
        assert!(now.resident > 0 && now.fds > 2 && now.start > 1e9 && now.max_fds > 0, "{now:?}");
    }
}
